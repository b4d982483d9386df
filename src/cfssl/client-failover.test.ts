/** Which endpoint `CfsslClient` asks, and when it asks another. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ManualClock } from '../../test/support/manual-clock.ts';

import { CFSSL_ERRORS, type CfsslErrorCode } from './errors.ts';
import { always, CSR, closedUrl, codesOf, connect, errorOf, KEY, multirootca, never } from './testing/client-setup.ts';
import { failure, rejection, silentLog, startServer, startTcpServer, success } from './testing/test-support.ts';

describe('CfsslClient failover', () => {
  const refusals: readonly (readonly [status: number, body: string, code: CfsslErrorCode])[] = [
    [301, '', 'CFSSL_REDIRECT'],
    [400, failure(1, 'bad request'), 'CFSSL_BAD_REQUEST'],
    [400, failure(1, 'invalid token'), 'CFSSL_INVALID_TOKEN'],
    [400, failure(1, 'invalid profile'), 'CFSSL_UNKNOWN_PROFILE'],
    [400, failure(5400, 'Unknown policy profile'), 'CFSSL_POLICY_BROKEN'],
    [401, failure(1, 'authorisation required'), 'CFSSL_NO_AUTH_KEY'],
    [403, failure(1, 'not authorised'), 'CFSSL_ADDRESS_NOT_ALLOWED'],
    [404, '404 page not found\n', 'CFSSL_NOT_FOUND'],
    [405, '', 'CFSSL_METHOD_REFUSED'],
    [429, '', 'CFSSL_UNAVAILABLE'],
  ];
  for (const [status, body, code] of refusals) {
    test(`${code}: the next endpoint is asked`, async (t) => {
      const a = await startServer(t, always(status, body));
      const b = await startServer(t, multirootca(KEY));
      const { endpoint } = await connect(t, [a.url, b.url]).sign({ csrPem: CSR }, never);
      assert.deepEqual([endpoint, a.seen.length, b.seen.length], [b.url, 1, 1]);
    });
  }

  const finals: readonly (readonly [status: number, body: string, code: CfsslErrorCode, maybe: boolean])[] = [
    [200, '<html>', 'CFSSL_INVALID_ANSWER', true],
    [200, success({}), 'CFSSL_INVALID_ANSWER', true],
    [400, failure(9002, 'CSR Decode failed'), 'CFSSL_CSR_REFUSED', false],
    [400, failure(5500, 'Request does not match policy whitelist'), 'CFSSL_NAMES_NOT_ALLOWED', false],
    [400, failure(11000, 'sql'), 'CFSSL_DATABASE', true],
    [413, '', 'CFSSL_REQUEST_TOO_LARGE', false],
    [500, failure(1, 'error creating bundle'), 'CFSSL_BUNDLE_FAILED', true],
    [500, '', 'CFSSL_SERVER_ERROR', true],
    [502, '', 'CFSSL_UNAVAILABLE', true],
    [503, '', 'CFSSL_UNAVAILABLE', true],
    [504, '', 'CFSSL_UNAVAILABLE', true],
  ];
  for (const [status, body, code, maybe] of finals) {
    test(`${status} ${code}: no other endpoint is asked`, async (t) => {
      const a = await startServer(t, always(status, body));
      const b = await startServer(t, multirootca(KEY));
      const error = await errorOf(connect(t, [a.url, b.url]).sign({ csrPem: CSR }, never));
      assert.deepEqual([error.code, error.details.maybeProcessed], [code, maybe]);
      assert.deepEqual(codesOf(error), [[a.url, code]]);
      assert.deepEqual([a.seen.length, b.seen.length], [1, 0]);
    });
  }

  test('a refused connection and a broken handshake: the next endpoint is asked', async (t) => {
    const port = await startTcpServer(t, (socket) => socket.destroy());
    const b = await startServer(t, multirootca(KEY));
    const client = connect(t, [await closedUrl(), `https://127.0.0.1:${port}`, b.url]);
    assert.equal((await client.sign({ csrPem: CSR }, never)).endpoint, b.url);
  });

  test('tells the log when another endpoint than the first has signed', async (t) => {
    const a = await startServer(t, always(404, ''));
    const b = await startServer(t, multirootca(KEY));
    const warnings: unknown[] = [];
    const log = { ...silentLog, warn: (...entry: unknown[]) => void warnings.push(entry) };
    const client = connect(t, [a.url, b.url], { log });
    await client.sign({ csrPem: CSR }, never);
    await client.sign({ csrPem: CSR }, never);
    const failed = [{ endpoint: a.url, code: 'CFSSL_NOT_FOUND', reason: `${CFSSL_ERRORS.CFSSL_NOT_FOUND} (HTTP 404)` }];
    assert.deepEqual(warnings, [[{ endpoint: b.url, failed }, 'CFSSL signed only after other endpoints had failed']]);
  });

  test('a reset after the body: no other endpoint is asked', async (t) => {
    const port = await startTcpServer(t, (socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    const b = await startServer(t, multirootca(KEY));
    const error = await errorOf(connect(t, [`http://127.0.0.1:${port}`, b.url]).sign({ csrPem: CSR }, never));
    assert.deepEqual([error.code, error.details.maybeProcessed], ['CFSSL_CONNECTION_LOST', true]);
    assert.equal(b.seen.length, 0);
  });

  test('a hang: no other endpoint is asked', async (t) => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    const a = await startServer(t, () => resolve());
    const b = await startServer(t, multirootca(KEY));
    const clock = new ManualClock();
    const failure = errorOf(connect(t, [a.url, b.url], { clock }).sign({ csrPem: CSR }, never));
    await asked;
    await clock.advance(10_000);
    assert.deepEqual([(await failure).code, (await failure).details.maybeProcessed], ['CFSSL_TIMEOUT', true]);
    assert.equal(b.seen.length, 0);
  });

  test('no endpoint helps: each one is told of, in their order', async (t) => {
    const a = await closedUrl();
    const b = await startServer(t, always(400, failure(1, 'invalid token')));
    const c = await startServer(t, always(403, failure(1, 'not authorised')));
    const error = await errorOf(connect(t, [a, b.url, c.url]).sign({ csrPem: CSR }, never));
    assert.equal(error.code, 'CFSSL_UNREACHABLE');
    assert.deepEqual(codesOf(error), [
      [a, 'CFSSL_UNREACHABLE'],
      [b.url, 'CFSSL_INVALID_TOKEN'],
      [c.url, 'CFSSL_ADDRESS_NOT_ALLOWED'],
    ]);
    assert.ok(
      [a, b.url, c.url].every((url) => error.message.includes(` at ${url}`)),
      error.message,
    );
  });

  test('an endpoint that cannot be reached is skipped, tried again by one call, and told of meanwhile', async (t) => {
    let connections = 0;
    const port = await startTcpServer(t, (socket) => {
      connections++;
      socket.destroy();
    });
    const a = `https://127.0.0.1:${port}`;
    const b = await startServer(t, ({ path }, response) => {
      response.writeHead(400).end(failure(path.endsWith('info') ? 400 : 1, 'bad request'));
    });
    const clock = new ManualClock();
    const client = connect(t, [a, b.url], { clock });
    const sign = () => errorOf(client.sign({ csrPem: CSR }, never));

    assert.equal((await sign()).code, 'CFSSL_UNREACHABLE');
    assert.equal(connections, 1);

    const skipped = await sign();
    assert.equal(skipped.code, 'CFSSL_BAD_REQUEST');
    assert.deepEqual(codesOf(skipped), [
      [a, 'CFSSL_UNREACHABLE'],
      [b.url, 'CFSSL_BAD_REQUEST'],
    ]);
    assert.equal(connections, 1);

    await clock.advance(1000);
    await Promise.all([sign(), sign(), sign()]);
    assert.equal(connections, 2);
    assert.equal(b.seen.length, 5);
  });

  test('when all endpoints pause, all are tried', async (t) => {
    const closed = await closedUrl();
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    let isBroken = true;
    const b = await startServer(t, (seen, response) => {
      if (isBroken) {
        seen.socket.once('close', resolve).destroy();
        isBroken = false;
      } else {
        multirootca(KEY)(seen, response);
      }
    });
    const client = connect(t, [closed, b.url]);
    assert.equal((await errorOf(client.sign({ csrPem: CSR }, never))).code, 'CFSSL_CONNECTION_LOST');
    await gone;
    assert.equal((await client.sign({ csrPem: CSR }, never)).endpoint, b.url);
  });

  test('after an open outcome the next call begins at the next endpoint', async (t) => {
    const a = await startServer(t, always(502, ''));
    const b = await startServer(t, multirootca(KEY));
    const client = connect(t, [a.url, b.url]);
    assert.equal((await errorOf(client.sign({ csrPem: CSR }, never))).code, 'CFSSL_UNAVAILABLE');
    assert.equal((await client.sign({ csrPem: CSR }, never)).endpoint, b.url);
    assert.equal(a.seen.length, 1);
  });

  test('endpointStates() tells what was last seen, and nothing volatile', async (t) => {
    const a = await closedUrl();
    const b = await startServer(t, multirootca(KEY));
    const client = connect(t, [a, b.url]);
    assert.deepEqual(client.endpointStates(), [
      { url: a, reachable: undefined },
      { url: b.url, reachable: undefined },
    ]);
    await client.sign({ csrPem: CSR }, never);
    assert.deepEqual(client.endpointStates(), [
      { url: a, reachable: false, lastError: 'the server cannot be reached (ECONNREFUSED)' },
      { url: b.url, reachable: true },
    ]);
  });

  test('an abort ends the whole call', async (t) => {
    const controller = new AbortController();
    const a = await startServer(t, () => controller.abort(new Error('Shutting down')));
    const b = await startServer(t, multirootca(KEY));
    const client = connect(t, [a.url, b.url]);
    const error = await errorOf(client.sign({ csrPem: CSR }, { signal: controller.signal }));
    assert.deepEqual([error.code, error.details.maybeProcessed, b.seen.length], ['CFSSL_ABORTED', true, 0]);
    assert.equal(client.endpointStates()[0]?.reachable, undefined);
  });

  test('beforePost is asked before each POST and ends the whole call', async (t) => {
    const a = await startServer(t, always(400, failure(1, 'bad request')));
    const b = await startServer(t, multirootca(KEY));
    const veto = new Error('Not the leader');
    let asked = 0;
    const beforePost = (): void => {
      if (++asked === 2) throw veto;
    };
    const client = connect(t, [a.url, b.url]);
    assert.equal(await rejection(client.sign({ csrPem: CSR }, { ...never, beforePost })), veto);
    assert.deepEqual([asked, a.seen.length, b.seen.length], [2, 1, 0]);
  });
});
