import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { ManualClock, settle } from '../../test/support/manual-clock.ts';
import { type Clock, systemClock } from '../platform/index.ts';

import { parseEndpoints } from './endpoints.ts';
import { CfsslError } from './errors.ts';
import { findClosedPort, rejection, startServer, startTcpServer } from './testing/test-support.ts';
import { createTransport, type Transport } from './transport.ts';

const BODY = Buffer.from('{"label":"l"}');
const never = new AbortController().signal;

function connect(t: TestContext, url: string, options: { clock?: Clock; connectTimeoutMs?: number } = {}): Transport {
  const { clock = systemClock, connectTimeoutMs = 5000 } = options;
  const [endpoint] = parseEndpoints(url);
  assert.ok(endpoint !== undefined);
  const transport = createTransport(
    { clock },
    { endpoint, secureContext: undefined, timeoutMs: 10_000, connectTimeoutMs },
  );
  t.after(() => transport.close());
  return transport;
}

async function failureOf(promise: Promise<unknown>): Promise<Pick<CfsslError, 'code' | 'reason'> & { maybe: boolean }> {
  const error = await rejection(promise);
  assert.ok(error instanceof CfsslError, String(error));
  return { code: error.code, reason: error.reason, maybe: error.details.maybeProcessed };
}

describe('Transport', () => {
  test('posts the exact bytes to the path of the call, and gives status, headers and text back', async (t) => {
    const server = await startServer(t, (_seen, response) => response.writeHead(418, { 'x-a': 'b' }).end('grün'));
    const transport = connect(t, `${server.url}/prefix/`);
    const answer = await transport.post('sign', BODY, { signal: never });
    await transport.post('probe', BODY, { signal: never });
    await transport.post('info', BODY, { signal: never });
    assert.deepEqual([answer.status, answer.headers['x-a'], answer.body], [418, 'b', 'grün']);
    assert.deepEqual(
      server.seen.map(({ method, path, body }) => [method, path, body]),
      [
        ['POST', '/prefix/api/v1/cfssl/authsign', BODY.toString()],
        ['POST', '/prefix/api/v1/cfssl/authsign', BODY.toString()],
        ['POST', '/prefix/api/v1/cfssl/info', BODY.toString()],
      ],
    );
    const { host, 'content-type': type, 'content-length': length, connection, ...rest } = server.seen[0]?.headers ?? {};
    assert.deepEqual(
      [host, type, length, connection, rest],
      [`127.0.0.1:${server.port}`, 'application/json', String(BODY.length), 'keep-alive', {}],
    );
  });

  test('keeps the connection for the next request', async (t) => {
    const server = await startServer(t, (_seen, response) => response.end('{}'));
    const transport = connect(t, server.url);
    for (let i = 0; i < 5; i++) {
      await transport.post('sign', BODY, { signal: never });
      await settle(); // undici frees a connection one turn of the event loop after the answer
    }
    assert.equal(new Set(server.seen.map(({ socket }) => socket)).size, 1);
  });

  test('sends requests at the same time over connections of their own', async (t) => {
    const waiting: (() => void)[] = [];
    const server = await startServer(t, (_seen, response) => {
      waiting.push(() => response.end('{}'));
      if (waiting.length === 8) for (const answer of waiting) answer();
    });
    const transport = connect(t, server.url);
    await Promise.all(Array.from({ length: 8 }, () => transport.post('sign', BODY, { signal: never })));
    assert.equal(new Set(server.seen.map(({ socket }) => socket)).size, 8);
  });

  for (const status of [301, 302, 303, 307, 308]) {
    test(`does not follow a ${status}`, async (t) => {
      const server = await startServer(t, (_seen, response) =>
        response.writeHead(status, { location: '/other' }).end(),
      );
      const answer = await connect(t, server.url).post('sign', BODY, { signal: never });
      assert.equal(answer.status, status);
      assert.equal(server.seen.length, 1);
    });
  }

  test('reads 1 MiB and not a byte more', async (t) => {
    const server = await startServer(t, ({ path }, response) => {
      response.end('x'.repeat((1 << 20) + (path.endsWith('info') ? 0 : 1)));
    });
    const transport = connect(t, server.url);
    assert.equal((await transport.post('info', BODY, { signal: never })).body.length, 1 << 20);
    assert.deepEqual(await failureOf(transport.post('sign', BODY, { signal: never })), {
      code: 'CFSSL_INVALID_ANSWER',
      reason: 'the answer is not what CFSSL gives (more than 1048576 bytes)',
      maybe: true,
    });
  });

  test('breaks off an answer without end', async (t) => {
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const server = await startServer(t, ({ socket }, response) => {
      socket.on('close', resolve);
      const pour = (): void => {
        while (!socket.destroyed && response.write('x'.repeat(65_536)));
      };
      response.on('drain', pour);
      pour();
    });
    const failure = await failureOf(connect(t, server.url).post('sign', BODY, { signal: never }));
    assert.equal(failure.code, 'CFSSL_INVALID_ANSWER');
    await closed;
  });

  test('a hang ends at the deadline, and the connection with it', async (t) => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
    const server = await startServer(t, ({ socket }) => {
      socket.on('close', onClosed);
      onAsked();
    });
    const clock = new ManualClock();
    const failure = failureOf(connect(t, server.url, { clock }).post('sign', BODY, { signal: never }));
    await asked;
    await clock.advance(9999);
    assert.equal(clock.pendingTimers, 1);
    await clock.advance(1);
    assert.deepEqual(await failure, {
      code: 'CFSSL_TIMEOUT',
      reason: 'the server did not answer in time (10000 ms)',
      maybe: true,
    });
    await closed;
    assert.equal(clock.pendingTimers, 0);
  });

  test('the deadline covers a body that comes drop by drop', async (t) => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    const server = await startServer(t, (_seen, response) => {
      response.write('{"success":');
      onAsked();
    });
    const clock = new ManualClock();
    const failure = failureOf(connect(t, server.url, { clock }).post('sign', BODY, { signal: never }));
    await asked;
    await clock.advance(10_000);
    assert.deepEqual([(await failure).code, (await failure).maybe], ['CFSSL_TIMEOUT', true]);
  });

  test('the deadline ends the wait for a connection too, and nothing is sent afterwards', async (t) => {
    const received: Buffer[] = [];
    const { promise: accepted, resolve: onAccepted } = Promise.withResolvers<void>();
    const port = await startTcpServer(t, (socket) => {
      socket.on('data', (data) => received.push(data));
      onAccepted();
    });
    // A TLS handshake that is never answered: the connection does not come about.
    const clock = new ManualClock();
    const failure = failureOf(connect(t, `https://127.0.0.1:${port}`, { clock }).post('sign', BODY, { signal: never }));
    await accepted;
    await clock.advance(10_000);
    assert.deepEqual(await failure, {
      code: 'CFSSL_UNREACHABLE',
      reason: 'the server cannot be reached (10000 ms)',
      maybe: false,
    });
    assert.ok(!Buffer.concat(received).includes('label'));
  });

  test('a connection that does not come about ends at its own deadline', async (t) => {
    const port = await startTcpServer(t, () => undefined);
    const transport = connect(t, `https://127.0.0.1:${port}`, { connectTimeoutMs: 50 });
    assert.deepEqual(await failureOf(transport.post('sign', BODY, { signal: never })), {
      code: 'CFSSL_UNREACHABLE',
      reason: 'the server cannot be reached (UND_ERR_CONNECT_TIMEOUT)',
      maybe: false,
    });
  });

  test('a refused connection proves that nothing was sent', async (t) => {
    const transport = connect(t, `http://127.0.0.1:${await findClosedPort()}`);
    assert.deepEqual(await failureOf(transport.post('sign', BODY, { signal: never })), {
      code: 'CFSSL_UNREACHABLE',
      reason: 'the server cannot be reached (ECONNREFUSED)',
      maybe: false,
    });
  });

  test('an unknown name proves that nothing was sent', async (t) => {
    const transport = connect(t, 'http://cfssl.invalid');
    const { code, maybe } = await failureOf(transport.post('sign', BODY, { signal: never }));
    assert.deepEqual([code, maybe], ['CFSSL_UNREACHABLE', false]);
  });

  test('a reset after the request leaves the outcome open', async (t) => {
    const port = await startTcpServer(t, (socket) => {
      socket.once('data', () => socket.resetAndDestroy());
    });
    assert.deepEqual(await failureOf(connect(t, `http://127.0.0.1:${port}`).post('sign', BODY, { signal: never })), {
      code: 'CFSSL_CONNECTION_LOST',
      reason: 'the connection broke before the answer was complete (ECONNRESET)',
      maybe: true,
    });
  });

  test('an empty answer leaves the outcome open', async (t) => {
    const server = await startServer(t, ({ socket }) => socket.end());
    const { code, maybe } = await failureOf(connect(t, server.url).post('sign', BODY, { signal: never }));
    assert.deepEqual([code, maybe], ['CFSSL_CONNECTION_LOST', true]);
  });

  test('an answer that breaks off leaves the outcome open', async (t) => {
    const server = await startServer(t, ({ socket }, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{"success":true');
      socket.end();
    });
    const { code, maybe } = await failureOf(connect(t, server.url).post('sign', BODY, { signal: never }));
    assert.deepEqual([code, maybe], ['CFSSL_CONNECTION_LOST', true]);
  });

  test('an answer in another language than HTTP leaves the outcome open', async (t) => {
    const port = await startTcpServer(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'));
    const { code, maybe } = await failureOf(
      connect(t, `http://127.0.0.1:${port}`).post('sign', BODY, { signal: never }),
    );
    assert.deepEqual([code, maybe], ['CFSSL_INVALID_ANSWER', true]);
  });

  test('no failure of a call that cannot issue leaves an outcome open', async (t) => {
    const server = await startServer(t, ({ socket }) => socket.end());
    const transport = connect(t, server.url);
    for (const call of ['probe', 'info'] as const) {
      assert.equal((await failureOf(transport.post(call, BODY, { signal: never }))).maybe, false);
    }
  });

  test('an interim answer is not the answer', async (t) => {
    const server = await startServer(t, (_seen, response) => {
      response.writeEarlyHints({ link: '</x>; rel=preload' });
      response.writeHead(200).end('{}');
    });
    const { status, body } = await connect(t, server.url).post('sign', BODY, { signal: never });
    assert.deepEqual([status, body], [200, '{}']);
  });

  test('the abort signal ends a call in every phase', async (t) => {
    const phases = {
      'before it begins': { url: async () => `http://127.0.0.1:${await findClosedPort()}`, maybe: false },
      'while connecting': {
        url: async (abort: () => void) => `https://127.0.0.1:${await startTcpServer(t, abort)}`,
        maybe: false,
      },
      'while waiting for the answer': {
        url: async (abort: () => void) => (await startServer(t, abort)).url,
        maybe: true,
      },
    };
    for (const [phase, { url, maybe }] of Object.entries(phases)) {
      const controller = new AbortController();
      const reason = new Error('Shutting down');
      const transport = connect(t, await url(() => controller.abort(reason)));
      if (phase === 'before it begins') controller.abort(reason);
      const error = await rejection(transport.post('sign', BODY, { signal: controller.signal }));
      assert.ok(error instanceof CfsslError);
      assert.deepEqual(
        [phase, error.code, error.reason, error.details, error.cause],
        [phase, 'CFSSL_ABORTED', 'the call was cancelled (Shutting down)', { maybeProcessed: maybe }, reason],
      );
    }
  });

  test('beforePost runs once per request, when the connection stands and nothing is written', async (t) => {
    const events: string[] = [];
    const port = await startTcpServer(t, (socket) => {
      events.push('connected');
      socket.on('data', () => {
        events.push('received');
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
      });
    });
    const transport = connect(t, `http://127.0.0.1:${port}`);
    const beforePost = (): void => void events.push('before');
    await transport.post('sign', BODY, { signal: never, beforePost });
    await transport.post('sign', BODY, { signal: never, beforePost });
    // The server's side of a connection may be seen a moment before or after ours.
    assert.deepEqual(
      events.filter((event) => event !== 'connected'),
      ['before', 'received', 'before', 'received'],
    );
  });

  test('what beforePost throws stops the request, is thrown as it is, and spares the connection', async (t) => {
    const server = await startServer(t, (_seen, response) => response.end('{}'));
    const transport = connect(t, server.url);
    await transport.post('sign', BODY, { signal: never });
    await settle();
    for (const thrown of [new Error('Not the leader'), 'not an error']) {
      const beforePost = (): void => {
        throw thrown as Error;
      };
      assert.equal(await rejection(transport.post('sign', BODY, { signal: never, beforePost })), thrown);
    }
    await transport.post('sign', BODY, { signal: never });
    assert.equal(server.seen.length, 2);
    assert.equal(new Set(server.seen.map(({ socket }) => socket)).size, 1);
  });

  test('speaks to IPv6 addresses', async (t) => {
    const transport = connect(t, `http://[::1]:${await findClosedPort()}`);
    const { code, reason } = await failureOf(transport.post('sign', BODY, { signal: never }));
    assert.deepEqual([code, reason], ['CFSSL_UNREACHABLE', 'the server cannot be reached (ECONNREFUSED)']);
  });
});
