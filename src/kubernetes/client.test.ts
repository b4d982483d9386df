/** The client's verbs over real loopback sockets: what the server of each case says is in the case. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isNotFound,
  isResourceVersionTooLarge,
  isRetryable,
  isTimeout,
  isTooManyRequests,
  isUnauthorized,
} from './errors.ts';
import { answer, at, errorOf, failure, start, until } from './testing/loopback-server.ts';
import { WIDGETS } from './testing/test-support.ts';

describe('KubernetesClient', () => {
  test('each verb sends what the API wants', async (t) => {
    const { client, requests } = await start(t, (_, response) => answer(response, 200, { metadata: at }), {
      userAgent: 'agent/1',
    });
    const object = { metadata: { ...at, uid: 'u', resourceVersion: '7', creationTimestamp: '' } };
    await client.get(WIDGETS, at);
    await client.create(WIDGETS, object);
    await client.update(WIDGETS, object);
    await client.mergePatch(WIDGETS, at, { colour: 'red' });
    await client.applyStatus(WIDGETS, { ...object, status: { ok: true } }, { fieldManager: 'me & you' });
    await client.delete(WIDGETS, { ...at, uid: 'u' });
    const base = '/apis/test.io/v1/namespaces/ns/widgets';
    const head = { apiVersion: 'test.io/v1', kind: 'Widget' };
    assert.deepEqual(
      requests.map(({ method, url, headers, body }) => [
        method,
        url,
        headers['content-type'],
        body === '' ? undefined : (JSON.parse(body) as unknown),
      ]),
      [
        ['GET', `${base}/a`, undefined, undefined],
        ['POST', base, 'application/json', { ...head, ...object }],
        ['PUT', `${base}/a`, 'application/json', { ...head, ...object }],
        ['PATCH', `${base}/a`, 'application/merge-patch+json', { colour: 'red' }],
        [
          'PATCH',
          `${base}/a/status?fieldManager=me%20%26%20you&force=true`,
          'application/apply-patch+yaml',
          { ...head, metadata: { ...at, resourceVersion: '7' }, status: { ok: true } },
        ],
        ['DELETE', `${base}/a`, 'application/json', { preconditions: { uid: 'u' } }],
      ],
    );
    assert.ok(requests.every(({ headers }) => headers['user-agent'] === 'agent/1'));
  });

  test('connections are kept and used again', async (t) => {
    const { client, sockets } = await start(t, (_, response) => answer(response, 200, {}));
    for (let i = 0; i < 50; i++) await client.get(WIDGETS, at);
    // One, and a second when a call comes before the pool has noticed that the last one has ended.
    assert.ok(sockets.size <= 2);
  });

  test('list() reads one page and says how to go on', async (t) => {
    const { client, requests } = await start(t, (_, response) =>
      answer(response, 200, { metadata: { resourceVersion: '9', continue: 'next' }, items: [{ metadata: at }] }),
    );
    const list = await client.list(WIDGETS, { fieldSelector: 'a=b,c=d', resourceVersion: '0', limit: 500 });
    assert.deepEqual(list, { resourceVersion: '9', continue: 'next', items: [{ metadata: at }] });
    assert.equal(requests[0]?.url, '/apis/test.io/v1/widgets?fieldSelector=a%3Db%2Cc%3Dd&resourceVersion=0&limit=500');
  });

  test('each error of the server is what its predicate says, with the server’s words', async (t) => {
    const { client, requests } = await start(t, (_, response) => {
      const [code, reason] = cases[requests.length - 1] ?? [500, 'InternalError'];
      answer(response, code, failure(code, reason));
    });
    const cases: [number, string, (error: unknown) => boolean][] = [
      [404, 'NotFound', isNotFound],
      [409, 'Conflict', isConflict],
      [409, 'AlreadyExists', isAlreadyExists],
      [410, 'Expired', isExpired],
      [403, 'Forbidden', isForbidden],
      [401, 'Unauthorized', isUnauthorized],
      [429, 'TooManyRequests', isTooManyRequests],
      [500, 'InternalError', isRetryable],
      [504, 'Timeout', isTimeout],
    ];
    const predicates = [
      isNotFound,
      isConflict,
      isAlreadyExists,
      isExpired,
      isForbidden,
      isUnauthorized,
      isTooManyRequests,
    ];
    for (const [status, reason, predicate] of cases) {
      const error = await errorOf(client.get(WIDGETS, at));
      assert.equal(error.code, 'KUBERNETES_API');
      assert.equal(error.message, `Cannot get widgets.test.io "ns/a": ${status} ${reason}: widgets "a" ${reason}`);
      assert.ok(predicate(error), reason);
      for (const other of predicates) assert.equal(other(error), other === predicate, reason);
    }
  });

  test('an error page of a proxy is an error with that status', async (t) => {
    const { client } = await start(t, (_, response) => answer(response, 502, '<html>\nBad gateway'));
    const error = await errorOf(client.get(WIDGETS, at));
    assert.equal(error.message, 'Cannot get widgets.test.io "ns/a": 502: "<html>\\nBad gateway"');
    assert.ok(isRetryable(error));
  });

  test('an answer that is not JSON is malformed, and its text is in no message', async (t) => {
    const { client } = await start(t, (_, response) => answer(response, 200, 'secret'));
    const error = await errorOf(client.get(WIDGETS, at));
    assert.equal(error.code, 'KUBERNETES_MALFORMED');
    assert.ok(!`${error.message}${String(error.cause)}`.includes('secret'));
  });

  test('an answer over the limit is refused, and its connection closed', async (t) => {
    const { client, sockets } = await start(t, (_, response) => answer(response, 200, `"${'x'.repeat(5000)}"`), {
      maxObjectBytes: 1000,
    });
    const error = await errorOf(client.get(WIDGETS, at));
    assert.equal(error.code, 'KUBERNETES_TOO_LARGE');
    await errorOf(client.get(WIDGETS, at));
    assert.equal(sockets.size, 2);
  });

  test('a deadline ends a call that gets no answer, and one whose answer does not end', async (t) => {
    const { client, clock, requests } = await start(t, (_, response) => {
      if (requests.length === 2) response.write('{"metadata":');
    });
    for (const count of [1, 2]) {
      const outcome = errorOf(client.get(WIDGETS, { ...at, timeoutMs: 5000 }));
      await until(() => requests.length === count);
      await clock.advance(5000);
      const error = await outcome;
      assert.equal(error.message, 'Cannot get widgets.test.io "ns/a": no answer in time');
      assert.ok(isTimeout(error) && isRetryable(error));
    }
  });

  test('an abort by the caller is the signal’s reason', async (t) => {
    const { client, requests } = await start(t, () => {});
    const stop = new AbortController();
    const outcome = errorOf(client.get(WIDGETS, { ...at, signal: stop.signal }));
    await until(() => requests.length === 1);
    const reason = new Error('Enough');
    stop.abort(reason);
    assert.equal(await outcome, reason);
    assert.equal(await errorOf(client.get(WIDGETS, { ...at, signal: stop.signal })), reason);
  });

  test('Retry-After is kept on 429 and 503, and the call then succeeds', async (t) => {
    const { client, clock, requests } = await start(t, (_, response) => {
      if (requests.length === 1) answer(response, 429, failure(429, 'TooManyRequests'), { 'retry-after': '2' });
      else if (requests.length === 2) answer(response, 503, '', { 'retry-after': '1' });
      else answer(response, 200, { metadata: at });
    });
    const outcome = client.mergePatch(WIDGETS, at, {});
    await until(() => requests.length === 1 && clock.pendingTimers === 2);
    await clock.advance(1999);
    assert.equal(requests.length, 1);
    await clock.advance(1);
    await until(() => requests.length === 2 && clock.pendingTimers === 2);
    await clock.advance(1000);
    assert.deepEqual(await outcome, { metadata: at });
    assert.equal(requests.length, 3);
  });

  test('a Retry-After beyond the deadline ends in the server’s own error', async (t) => {
    const { client, clock, requests } = await start(t, (_, response) =>
      answer(response, 429, failure(429, 'TooManyRequests'), { 'retry-after': '60' }),
    );
    const outcome = errorOf(client.get(WIDGETS, at));
    await until(() => requests.length === 1 && clock.pendingTimers === 2);
    await clock.advance(30_000);
    const error = await outcome;
    assert.ok(isTooManyRequests(error));
    assert.equal(error.retryAfterMs, 60_000);
  });

  test('a version that the server has not seen is not waited for, whatever Retry-After says', async (t) => {
    const details = { retryAfterSeconds: 1, causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large' }] };
    const { client, requests } = await start(t, (_, response) =>
      answer(response, 504, failure(504, 'Timeout', { details }), { 'retry-after': '1' }),
    );
    assert.ok(isResourceVersionTooLarge(await errorOf(client.list(WIDGETS, { resourceVersion: '9' }))));
    assert.equal(requests.length, 1);
  });

  test('an error without Retry-After is the caller’s at once', async (t) => {
    const { client, requests } = await start(t, (_, response) => answer(response, 503, failure(503, 'Unavailable')));
    assert.equal((await errorOf(client.get(WIDGETS, at))).status, 503);
    assert.equal(requests.length, 1);
  });

  test('a GET whose connection broke is sent once more; a POST is not', async (t) => {
    const { client, requests } = await start(t, (_, response) => {
      if (requests.length === 1 || requests.length > 2) response.destroy();
      else answer(response, 200, { metadata: at });
    });
    assert.deepEqual(await client.get(WIDGETS, at), { metadata: at });
    const error = await errorOf(client.create(WIDGETS, { metadata: at }));
    assert.equal(error.code, 'KUBERNETES_CONNECTION');
    assert.equal(requests.length, 3);
    await errorOf(client.get(WIDGETS, at));
    assert.equal(requests.length, 5);
  });

  test('requests are counted by code, method and host', async (t) => {
    const { client, registry, requests } = await start(t, (_, response) => {
      if (requests.length === 1) answer(response, 404, failure(404, 'NotFound'));
      else response.destroy();
    });
    await errorOf(client.get(WIDGETS, at));
    await errorOf(client.create(WIDGETS, { metadata: at }));
    const text = await registry.metrics();
    assert.match(text, /rest_client_requests_total\{code="404",method="GET",host="127\.0\.0\.1:\d+"\} 1\n/);
    assert.match(text, /rest_client_requests_total\{code="<error>",method="POST",host="127\.0\.0\.1:\d+"\} 1\n/);
    assert.match(text, /rest_client_request_duration_seconds_count\{verb="GET",host="127\.0\.0\.1:\d+"\} 1\n/);
  });

  test('after close() calls fail', async (t) => {
    const { client } = await start(t, (_, response) => answer(response, 200, {}));
    await client.get(WIDGETS, at);
    await client.close();
    assert.match((await errorOf(client.get(WIDGETS, at))).message, /client is closed/);
  });
});
