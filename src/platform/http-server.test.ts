import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { type HttpServer, type HttpServerOptions, parseBindAddress, startHttpServer } from './http-server.ts';

async function start(t: TestContext, routes: HttpServerOptions['routes']): Promise<HttpServer> {
  const server = await startHttpServer({ bindAddress: '127.0.0.1:0', routes });
  t.after(() => server.close());
  return server;
}

interface Answer {
  readonly status: number | undefined;
  readonly type: string | undefined;
  readonly body: string;
}

async function ask({ address }: HttpServer, path: string, method = 'GET'): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  request({ host: address.host, port: address.port, path, method, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      const { statusCode: status, headers } = response;
      resolve({ status, type: headers['content-type'], body: Buffer.concat(chunks).toString('utf8') });
    });
  })
    .on('error', reject)
    .end();
  return await promise;
}

const TEXT = 'text/plain; charset=utf-8';

describe('startHttpServer()', () => {
  const routes: HttpServerOptions['routes'] = {
    '/ok': () => ({ status: 200, body: 'ok ✓\n' }),
    '/later': () => Promise.resolve({ status: 503, body: 'later\n' }),
    '/typed': () => ({ status: 200, body: '{}', contentType: 'application/json' }),
    '/throws': () => {
      throw new Error('Cannot tell');
    },
    '/rejects': () => Promise.reject(new Error('Cannot tell either')),
  };
  const cases: readonly [name: string, method: string, path: string, expected: Answer][] = [
    ['GET of a route', 'GET', '/ok', { status: 200, type: TEXT, body: 'ok ✓\n' }],
    ['the query does not matter', 'GET', '/ok?verbose=1', { status: 200, type: TEXT, body: 'ok ✓\n' }],
    ['HEAD has no body', 'HEAD', '/ok', { status: 200, type: TEXT, body: '' }],
    ['an answer may come later and be none of joy', 'GET', '/later', { status: 503, type: TEXT, body: 'later\n' }],
    ['an answer may have its type', 'GET', '/typed', { status: 200, type: 'application/json', body: '{}' }],
    ['a longer path is not the route', 'GET', '/ok/', { status: 404, type: TEXT, body: 'Not found\n' }],
    ['nothing but GET and HEAD', 'POST', '/ok', { status: 405, type: TEXT, body: 'Only GET and HEAD are served\n' }],
    ['an answer that throws', 'GET', '/throws', { status: 500, type: TEXT, body: 'Cannot tell\n' }],
    ['an answer that rejects', 'GET', '/rejects', { status: 500, type: TEXT, body: 'Cannot tell either\n' }],
  ];
  for (const [name, method, path, expected] of cases) {
    test(name, async (t) => {
      const server = await start(t, routes);
      assert.deepEqual(await ask(server, path, method), expected);
    });
  }

  test('tells the port that the system chose', async (t) => {
    const { address } = await start(t, {});
    assert.equal(address.host, '127.0.0.1');
    assert.ok(address.port > 0);
  });

  test('an address in use is an error that names it', async (t) => {
    const { address } = await start(t, {});
    const bindAddress = `127.0.0.1:${address.port}`;
    await assert.rejects(startHttpServer({ bindAddress, routes: {} }), {
      message: `Cannot listen on ${bindAddress}: listen EADDRINUSE: address already in use ${bindAddress}`,
    });
  });

  test('a malformed address is an error that names it', async () => {
    await assert.rejects(startHttpServer({ bindAddress: 'nowhere', routes: {} }), {
      message: 'Cannot listen on "nowhere": want host:port, [IPv6]:port or :port',
    });
  });

  test('close() waits for no client: neither an idle one nor one that waits for its answer', async (t) => {
    const { promise: asked, resolve } = Promise.withResolvers<void>();
    const server = await start(t, {
      '/slow': () => {
        resolve();
        return new Promise<never>(() => {});
      },
    });
    const idle = connect(server.address.port, server.address.host);
    await once(idle, 'connect');
    const slow = assert.rejects(ask(server, '/slow'));
    await asked;
    await server.close();
    await slow;
    await once(idle.resume(), 'close');
    await assert.rejects(ask(server, '/slow'), { code: 'ECONNREFUSED' });
  });

  test('close() may be called again', async (t) => {
    const server = await start(t, {});
    await server.close();
    await server.close();
  });
});

describe('parseBindAddress()', () => {
  const good: readonly [text: string, host: string | undefined, port: number][] = [
    [':8080', undefined, 8080],
    [':0', undefined, 0],
    [':65535', undefined, 65_535],
    ['0.0.0.0:8080', '0.0.0.0', 8080],
    ['localhost:8081', 'localhost', 8081],
    ['[::1]:8081', '::1', 8081],
    ['[::]:8081', '::', 8081],
  ];
  for (const [text, host, port] of good) {
    test(text, () => {
      assert.deepEqual(parseBindAddress(text), { host, port });
    });
  }

  test('an IPv6 address may have a zone', () => {
    assert.deepEqual(parseBindAddress('[fe80::1%eth0]:8081'), { host: 'fe80::1%eth0', port: 8081 });
  });

  for (const text of [
    '',
    '8080',
    ':',
    'localhost',
    'localhost:',
    '::1:8081',
    '[::1]',
    ':65536',
    ':-1',
    ':80a',
    ':8080\n',
  ]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => parseBindAddress(text), {
        message: `Cannot listen on "${text}": want host:port, [IPv6]:port or :port`,
      });
    });
  }
});
