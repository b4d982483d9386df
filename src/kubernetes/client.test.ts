/** The client over real loopback sockets: what the server of each case says, byte by byte, is in the case. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { ManualClock, settle } from '../../test/support/manual-clock.ts';
import { createAuthority, issueCertificate } from '../../tools/servers/authority.ts';
import { Registry, systemClock } from '../platform/index.ts';
import { createKubernetesClient, type KubernetesClientOptions, type WatchEvent } from './client.ts';
import type { ClusterConfig } from './cluster-config.ts';
import {
  isAlreadyExists,
  isConflict,
  isExpired,
  isForbidden,
  isNotFound,
  isRetryable,
  isTimeout,
  isTooManyRequests,
  isUnauthorized,
  type KubernetesError,
} from './errors.ts';
import { LogDouble, WIDGETS, type Widget } from './test-support.ts';

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

type Handler = (request: Received, response: ServerResponse) => void;

/** A server and a client of it; both are closed when the test ends. */
async function start(
  t: TestContext,
  handler: Handler,
  options: KubernetesClientOptions & { readonly config?: Partial<ClusterConfig>; readonly clock?: ManualClock } = {},
) {
  const requests: Received[] = [];
  const sockets = new Set<unknown>();
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const received = { method, url, headers, body: Buffer.concat(chunks).toString() };
      requests.push(received);
      handler(received, response);
    });
  };
  const server = createServer(listener).on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { config, clock = new ManualClock(), ...clientOptions } = options;
  const registry = new Registry();
  const log = new LogDouble();
  const client = createKubernetesClient(
    { clock, log, registry },
    { source: 'test', server: `http://127.0.0.1:${port}`, authentication: { kind: 'none' }, ...config },
    clientOptions,
  );
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    assert.equal(clock.pendingTimers, 0);
  });
  return { client, clock, registry, log, requests, sockets };
}

function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

const failure = (code: number, reason: string, more: object = {}): object => ({
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message: `widgets "a" ${reason}`,
  ...more,
});

async function errorOf(promise: Promise<unknown>): Promise<KubernetesError> {
  return await promise.then(
    () => assert.fail('No error'),
    (error: unknown) => error as KubernetesError,
  );
}

/** Waits, on real sockets, until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}

const at = { namespace: 'ns', name: 'a' };

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

describe('KubernetesClient, credentials', () => {
  async function tokenFile(t: TestContext): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'kubernetes-client-'));
    t.after(() => rm(folder, { recursive: true }));
    return join(folder, 'token');
  }

  test('a 401 has the token file read again, once', async (t) => {
    const file = await tokenFile(t);
    await writeFile(file, 'old\n');
    const { client, requests } = await start(
      t,
      ({ headers }, response) => {
        if (headers.authorization === 'Bearer new') answer(response, 200, { metadata: at });
        else answer(response, 401, failure(401, 'Unauthorized'));
      },
      { config: { authentication: { kind: 'token-file', file } } },
    );
    assert.ok(isUnauthorized(await errorOf(client.get(WIDGETS, at))));
    assert.equal(requests.length, 2);
    await writeFile(file, 'new\n');
    assert.deepEqual(await client.get(WIDGETS, at), { metadata: at });
    await client.get(WIDGETS, at);
    const sent = requests.map(({ headers }) => headers.authorization);
    assert.deepEqual(sent, ['Bearer old', 'Bearer old', 'Bearer old', 'Bearer new', 'Bearer new']);
  });

  test('a token file is read again after a minute, and kept if it cannot be', async (t) => {
    const file = await tokenFile(t);
    await writeFile(file, 'one');
    const clock = new ManualClock();
    const { client, requests, log } = await start(t, (_, response) => answer(response, 200, {}), {
      clock,
      config: { authentication: { kind: 'token-file', file } },
    });
    await client.get(WIDGETS, at);
    await writeFile(file, 'two');
    await clock.advance(59_000);
    await client.get(WIDGETS, at);
    await clock.advance(1000);
    await client.get(WIDGETS, at);
    await rm(file);
    await clock.advance(60_000);
    await client.get(WIDGETS, at);
    await writeFile(file, '');
    assert.deepEqual(
      requests.map(({ headers }) => headers.authorization),
      ['Bearer one', 'Bearer one', 'Bearer two', 'Bearer two'],
    );
    assert.ok(log.lines.includes('warn Cannot renew credentials, keeping the old ones'));
  });

  test('a fixed token that is refused is not tried twice', async (t) => {
    const { client, requests } = await start(t, (_, response) => answer(response, 401, failure(401, 'Unauthorized')), {
      config: { authentication: { kind: 'token', token: 'fixed' } },
    });
    assert.ok(isUnauthorized(await errorOf(client.get(WIDGETS, at))));
    assert.equal(requests.length, 1);
  });

  test('an exec plugin runs once, again when its token expires, and again on a 401', async (t) => {
    const counter = await tokenFile(t);
    const program = `
      const fs = require('node:fs');
      const { apiVersion, kind, spec } = JSON.parse(process.env.KUBERNETES_EXEC_INFO);
      if (kind !== 'ExecCredential' || spec.interactive !== false || spec.cluster.server !== 'https://s') process.exit(1);
      fs.appendFileSync(${JSON.stringify(counter)}, 'x');
      const token = process.env.PREFIX + fs.readFileSync(${JSON.stringify(counter)}).length;
      console.log(JSON.stringify({ apiVersion, kind, status: { token, expirationTimestamp: '2026-01-01T01:00:00Z' } }));`;
    const plugin = {
      command: process.execPath,
      args: ['-e', program],
      env: { PREFIX: 'token-' },
      apiVersion: 'client.authentication.k8s.io/v1',
      installHint: undefined,
      cluster: { server: 'https://s', ca: undefined },
    };
    let refused = '';
    const clock = new ManualClock();
    const { client, requests } = await start(
      t,
      ({ headers }, response) => {
        if (headers.authorization === refused) answer(response, 401, failure(401, 'Unauthorized'));
        else answer(response, 200, {});
      },
      { clock, config: { authentication: { kind: 'exec', plugin } } },
    );
    await Promise.all([client.get(WIDGETS, at), client.get(WIDGETS, at)]);
    refused = 'Bearer token-1';
    await client.get(WIDGETS, at);
    await clock.advance(3_600_000 - 10_000);
    await client.get(WIDGETS, at);
    assert.deepEqual(
      requests.map(({ headers }) => headers.authorization?.replace('Bearer token-', '')),
      ['1', '1', '1', '2', '3'],
    );
  });

  test('a plugin that fails says why, and never what it printed', async (t) => {
    const base = { env: {}, apiVersion: 'client.authentication.k8s.io/v1', cluster: undefined };
    const cases: [string, string[], RegExp][] = [
      [
        process.execPath,
        ['-e', 'console.error("no login"); process.exit(1)'],
        /Cannot run exec plugin .*: "no login"$/,
      ],
      ['no-such-program-here', [], /no such program \(apt install it\)$/],
      [process.execPath, ['-e', 'console.log("hunter2")'], /did not print an ExecCredential/],
    ];
    for (const [command, args, expected] of cases) {
      const plugin = { ...base, command, args, installHint: 'apt install it' };
      const { client } = await start(t, () => {}, { config: { authentication: { kind: 'exec', plugin } } });
      const error = await errorOf(client.get(WIDGETS, at));
      assert.equal(error.code, 'KUBERNETES_CREDENTIALS');
      assert.match(error.message, expected);
      assert.ok(!error.message.includes('hunter2'));
    }
  });
});

describe('KubernetesClient, TLS', () => {
  test('a server is trusted by the CA file, also by one that has changed; a client certificate is sent', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'kubernetes-client-'));
    const [first, second] = [await createAuthority('first'), await createAuthority('second')];
    const user = await issueCertificate(first, { name: 'user' });
    const names = { name: 'api', ipAddresses: ['127.0.0.1'] };
    const [old, renewed] = [await issueCertificate(first, names), await issueCertificate(second, names)];
    const server = createTlsServer({
      cert: old.certificatePem,
      key: old.keyPem,
      ca: first.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    server.on('request', (_request, response) => answer(response, 200, { metadata: at }));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const caFile = join(folder, 'ca.crt');
    await writeFile(caFile, first.certificatePem);
    const log = new LogDouble();
    const client = createKubernetesClient(
      { clock: systemClock, log, registry: new Registry() },
      {
        source: 'test',
        server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
        ca: { file: caFile },
        clientCertificate: { certificate: { text: user.certificatePem }, key: { text: user.keyPem } },
        authentication: { kind: 'none' },
      },
    );
    t.after(async () => {
      await client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true });
    });
    assert.deepEqual(await client.get(WIDGETS, at), { metadata: at });

    server.setSecureContext({ cert: renewed.certificatePem, key: renewed.keyPem, ca: first.certificatePem });
    server.closeAllConnections();
    const error = await errorOf(client.get(WIDGETS, at));
    assert.equal(error.code, 'KUBERNETES_CONNECTION');
    // Not a minute later: a connection that failed has the files looked at again.
    await writeFile(caFile, second.certificatePem);
    assert.deepEqual(await client.get(WIDGETS, at), { metadata: at });
    assert.ok(log.lines.includes('info TLS files have changed, connecting anew'));
  });
});

describe('KubernetesClient.watch', () => {
  const options = { resourceVersion: '5', timeoutSeconds: 300 };
  const event = (name: string): string => `${JSON.stringify({ type: 'ADDED', object: { metadata: { name } } })}\n`;

  async function namesOf(watch: AsyncIterable<WatchEvent<Widget>>): Promise<string[]> {
    const names: string[] = [];
    for await (const { object } of watch) names.push(object.metadata.name);
    return names;
  }

  test('asks for bookmarks, yields events as they come, and ends when the server does', async (t) => {
    const { client, requests } = await start(t, (_, response) => {
      response.write(event('a') + event('b').slice(0, 9));
      setImmediate(() => response.end(event('b').slice(9) + event('c')));
    });
    let isOpen = false;
    const watch = client.watch<Widget>(WIDGETS, {
      ...options,
      onOpen: () => {
        isOpen = true;
      },
    });
    assert.deepEqual(await namesOf(watch), ['a', 'b', 'c']);
    assert.equal(isOpen, true);
    const query = 'watch=1&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300';
    assert.equal(requests[0]?.url, `/apis/test.io/v1/widgets?${query}`);
  });

  test('a character that arrives in two parts is whole', async (t) => {
    const bytes = Buffer.from(event('größe-😀'));
    const { client } = await start(t, (_, response) => {
      response.socket?.setNoDelay(true);
      let sent = 0;
      const sendOne = (): void => {
        response.write(bytes.subarray(sent, sent + 1));
        sent++;
        if (sent < bytes.length) setImmediate(sendOne);
        else response.end();
      };
      sendOne();
    });
    assert.deepEqual(await namesOf(client.watch<Widget>(WIDGETS, options)), ['größe-😀']);
  });

  test('an ERROR event is thrown as what it is', async (t) => {
    const { client } = await start(t, (_, response) => {
      response.write(event('a'));
      response.end(`${JSON.stringify({ type: 'ERROR', object: failure(410, 'Expired') })}\n`);
    });
    assert.ok(isExpired(await errorOf(namesOf(client.watch<Widget>(WIDGETS, options)))));
  });

  test('a connection that breaks, a line without end and a line that is not JSON are errors', async (t) => {
    const { client, requests } = await start(
      t,
      (_, response) => {
        if (requests.length === 1) response.write(event('a'), () => response.destroy());
        else if (requests.length === 2) response.write('x'.repeat(2000));
        else response.write('{"type":\n');
      },
      { maxObjectBytes: 1000 },
    );
    for (const code of ['KUBERNETES_CONNECTION', 'KUBERNETES_TOO_LARGE', 'KUBERNETES_MALFORMED']) {
      assert.equal((await errorOf(namesOf(client.watch<Widget>(WIDGETS, options)))).code, code);
    }
  });

  test('the deadline is for the headers: silence after them is the reader’s to judge', async (t) => {
    const { client, clock, requests } = await start(t, (_, response) => {
      if (requests.length === 2) response.write(event('a'));
    });
    const unanswered = errorOf(namesOf(client.watch<Widget>(WIDGETS, options)));
    await until(() => requests.length === 1);
    await clock.advance(30_000);
    assert.ok(isTimeout(await unanswered));

    const stop = new AbortController();
    const seen: string[] = [];
    const silent = errorOf(
      (async () => {
        for await (const { object } of client.watch<Widget>(WIDGETS, { ...options, signal: stop.signal })) {
          seen.push(object.metadata.name);
        }
      })(),
    );
    await until(() => seen.length === 1);
    await clock.advance(3_600_000);
    const reason = new Error('Enough silence');
    stop.abort(reason);
    assert.equal(await silent, reason);
  });

  test('a reader that leaves closes the connection', async (t) => {
    let isClosed = false;
    const { client } = await start(t, (_, response) => {
      response.on('close', () => {
        isClosed = true;
      });
      response.write(event('a'));
    });
    const stop = new AbortController();
    for await (const _ of client.watch<Widget>(WIDGETS, { ...options, signal: stop.signal })) break;
    await until(() => isClosed);
    assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
  });

  test('a callback that throws when the watch opens closes the connection too', async (t) => {
    let isClosed = false;
    const { client } = await start(t, (_, response) => {
      response.on('close', () => {
        isClosed = true;
      });
      response.write(event('a'));
    });
    const onOpen = (): void => {
      throw new Error('Mine');
    };
    assert.match((await errorOf(namesOf(client.watch<Widget>(WIDGETS, { ...options, onOpen })))).message, /Mine/);
    await until(() => isClosed);
  });
});
