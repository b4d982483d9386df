import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';

import { ManualClock, settle } from '../../test/support/manual-clock.ts';

import { type CfsslClient, type CfsslClientConfig, type CfsslClientDeps, createCfsslClient } from './client.ts';
import { parseEndpoints } from './endpoints.ts';
import { CFSSL_ERRORS, CfsslError, type CfsslErrorCode } from './errors.ts';
import {
  createAuthority,
  failure,
  findClosedPort,
  type Handler,
  rejection,
  type Seen,
  silentLog,
  startServer,
  startTcpServer,
  success,
} from './testing/test-support.ts';
import { createToken, parseAuthKey } from './token.ts';
import type { AuthenticatedRequest, SignRequestJson } from './wire.ts';

const { certPem } = await createAuthority('Test CA');
const KEY = parseAuthKey('00000000000000000000000000000001');
const NEXT_KEY = parseAuthKey('00000000000000000000000000000002');
const CSR = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n';
const never = { signal: new AbortController().signal };

function connect(
  t: TestContext,
  urls: readonly string[],
  {
    clock = new ManualClock(),
    log = silentLog,
    onOtherKey,
    ...config
  }: Partial<CfsslClientConfig & CfsslClientDeps> = {},
): CfsslClient {
  const client = createCfsslClient(
    { clock, log, random: () => 0, onOtherKey },
    {
      endpoints: parseEndpoints(urls.join()),
      label: 'primary',
      profile: 'server',
      keys: { current: KEY },
      timeoutMs: 10_000,
      ...config,
    },
  );
  t.after(() => client.close());
  return client;
}

function requestOf({ body }: Seen): { token: string; bytes: Buffer; json: SignRequestJson } {
  const { token, request } = JSON.parse(body) as AuthenticatedRequest;
  const bytes = Buffer.from(request, 'base64');
  return { token, bytes, json: JSON.parse(bytes.toString()) as SignRequestJson };
}

/** Answers every request alike. */
const always =
  (status: number, body: string): Handler =>
  (_seen, response) =>
    response.writeHead(status).end(body);

/** Behaves like multirootca with these keys: empty CSRs are refused after the token was checked. */
const multirootca =
  (...keys: readonly (typeof KEY)[]): Handler =>
  (seen, response) => {
    if (seen.path.endsWith('/info')) {
      response.end(success({ certificate: certPem.trim(), usages: ['signing'], expiry: '8760h' }));
      return;
    }
    const { token, bytes, json } = requestOf(seen);
    if (!keys.some((key) => createToken(key, bytes) === token)) {
      response.writeHead(400).end(failure(1, 'invalid token'));
    } else if (json.certificate_request === '') {
      response.writeHead(400).end(failure(1, 'invalid request'));
    } else {
      response.end(success({ certificate: certPem }));
    }
  };

async function errorOf(promise: Promise<unknown>): Promise<CfsslError> {
  const error = await rejection(promise);
  assert.ok(error instanceof CfsslError, String(error));
  return error;
}

const codesOf = (error: CfsslError): [endpoint: string, code: CfsslErrorCode][] =>
  (error.details.attempts ?? []).map(({ endpoint, code }) => [endpoint, code]);

const closedUrl = async (): Promise<string> => `http://127.0.0.1:${await findClosedPort()}`;

describe('createCfsslClient', () => {
  test('refuses TLS settings that cannot be used, if they would be', (t) => {
    const tls = { caPem: 'no certificate' };
    assert.throws(() => connect(t, ['http://a.example', 'https://b.example'], { tls }), { code: 'CFSSL_INVALID_TLS' });
    connect(t, ['http://a.example'], { tls });
  });
});

describe('CfsslClient.sign', () => {
  test('sends what the issuer and the request say, and gives the certificate', async (t) => {
    const server = await startServer(t, multirootca(KEY));
    const client = connect(t, [server.url], { bundle: true });
    assert.deepEqual(await client.sign({ csrPem: CSR }, never), {
      certificatePem: certPem,
      messages: [],
      endpoint: server.url,
      keyInUse: 'key',
    });
    await client.sign({ csrPem: CSR, profile: 'ca', bundle: false }, never);
    assert.deepEqual(
      server.seen.map((seen) => requestOf(seen).json),
      [
        { certificate_request: CSR, label: 'primary', profile: 'server', bundle: true },
        { certificate_request: CSR, label: 'primary', profile: 'ca' },
      ],
    );
  });

  test('speaks TLS as the issuer says', async (t) => {
    const ca = await createAuthority('Server CA');
    const { certPem: cert, keyPem: key } = await ca.issue('server', { san: [{ type: 'ip', value: '127.0.0.1' }] });
    const server = await startServer(t, multirootca(KEY), { cert, key });
    const { endpoint } = await connect(t, [server.url], { tls: { caPem: ca.certPem } }).sign({ csrPem: CSR }, never);
    assert.equal(endpoint, server.url);
    const error = await errorOf(connect(t, [server.url]).sign({ csrPem: CSR }, never));
    assert.equal(error.code, 'CFSSL_TLS_TRUST');
  });

  test('authenticates with the additional data', async (t) => {
    const additionalData = randomBytes(20);
    const server = await startServer(t, always(200, success({ certificate: certPem })));
    await connect(t, [server.url], { additionalData }).sign({ csrPem: CSR }, never);
    assert.ok(server.seen[0] !== undefined);
    const { token, bytes } = requestOf(server.seen[0]);
    assert.equal(token, createToken(KEY, bytes, additionalData));
  });

  test('names label, profile, endpoint, and what was seen', async (t) => {
    const server = await startServer(t, always(400, failure(1, 'bad request')));
    const error = await errorOf(connect(t, [server.url]).sign({ csrPem: CSR }, never));
    const reason =
      'refused without a reason: unknown label, the CSR, the policy, or trouble inside the server (HTTP 400, code 1, "bad request")';
    assert.equal(error.message, `Cannot sign with label "primary" and profile "server": ${reason} at ${server.url}`);
    assert.deepEqual(error.details, {
      endpoint: server.url,
      httpStatus: 400,
      cfsslCode: 1,
      cfsslMessage: 'bad request',
      maybeProcessed: false,
      attempts: [{ endpoint: server.url, code: 'CFSSL_BAD_REQUEST', reason }],
    });
    const bare = await errorOf(connect(t, [server.url], { profile: undefined }).sign({ csrPem: CSR }, never));
    assert.ok(bare.message.startsWith('Cannot sign with label "primary": '), bare.message);
  });

  test('no word of key or token in an error', async (t) => {
    const server = await startServer(t, ({ body }, response) => response.writeHead(400).end(body));
    const error = await errorOf(connect(t, [server.url]).sign({ csrPem: CSR }, never));
    assert.ok(server.seen[0] !== undefined);
    // A server that echoes the request is the worst that can be met.
    assert.ok(!JSON.stringify([error.message, error.details]).includes(requestOf(server.seen[0]).token.slice(0, 8)));
  });
});

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

describe('CfsslClient keys', () => {
  const keys = { current: KEY, next: NEXT_KEY };

  test('key_next is tried where the server says that the token is wrong, and remembered', async (t) => {
    const server = await startServer(t, multirootca(NEXT_KEY));
    const client = connect(t, [server.url], { keys });
    assert.equal((await client.sign({ csrPem: CSR }, never)).keyInUse, 'key_next');
    assert.equal(server.seen.length, 2);
    assert.equal((await client.sign({ csrPem: CSR }, never)).keyInUse, 'key_next');
    assert.equal(server.seen.length, 3);
  });

  test('key comes first, and comes back when key_next is refused', async (t) => {
    const accepted = [KEY, NEXT_KEY];
    const server = await startServer(t, (seen, response) => multirootca(...accepted)(seen, response));
    let changes = 0;
    const client = connect(t, [server.url], { keys, onOtherKey: () => (changes += 1) });
    const signs: [accepted: (typeof KEY)[], keyInUse: string, changes: number][] = [
      [[KEY, NEXT_KEY], 'key', 0],
      [[NEXT_KEY], 'key_next', 1],
      [[NEXT_KEY], 'key_next', 1],
      [[KEY], 'key', 2],
    ];
    for (const [keys, keyInUse, told] of signs) {
      accepted.splice(0, accepted.length, ...keys);
      assert.equal((await client.sign({ csrPem: CSR }, never)).keyInUse, keyInUse);
      assert.equal(changes, told);
    }
    assert.equal(server.seen.length, 6);
  });

  test('each endpoint has its own', async (t) => {
    const a = await startServer(t, multirootca(KEY));
    const b = await startServer(t, multirootca(NEXT_KEY));
    const client = connect(t, [b.url, a.url], { keys });
    const { keyInUse, accepted, failures } = await client.probe(never);
    assert.deepEqual([keyInUse, accepted, failures], ['key_next', [b.url, a.url], []]);
    assert.equal(b.seen.length, 2);
    assert.equal(a.seen.length, 1);
  });

  test('both refused: the token is wrong', async (t) => {
    const server = await startServer(t, multirootca());
    const error = await errorOf(connect(t, [server.url], { keys }).sign({ csrPem: CSR }, never));
    assert.equal(error.code, 'CFSSL_INVALID_TOKEN');
    assert.equal(server.seen.length, 2);
  });

  for (const [name, status, body] of [
    ['bad request', 400, failure(1, 'bad request')],
    ["a proxy's own token", 400, failure(7400, failure(1, 'invalid token'))],
    ['an open outcome', 500, ''],
  ] as const) {
    test(`nothing but a wrong token calls for key_next: ${name}`, async (t) => {
      const server = await startServer(t, always(status, body));
      await errorOf(connect(t, [server.url], { keys }).sign({ csrPem: CSR }, never));
      assert.equal(server.seen.length, 1);
    });
  }
});

describe('CfsslClient.probe', () => {
  test('sends an empty CSR to every endpoint, and tells where the access is right', async (t) => {
    const a = await startServer(t, multirootca(NEXT_KEY));
    const b = await startServer(t, multirootca(KEY));
    const c = await startServer(t, multirootca(KEY));
    assert.deepEqual(await connect(t, [a.url, b.url, c.url]).probe(never), {
      server: 'multirootca',
      endpoint: b.url,
      keyInUse: 'key',
      accepted: [b.url, c.url],
      failures: [
        {
          endpoint: a.url,
          code: 'CFSSL_INVALID_TOKEN',
          reason: 'the key or the additional data is wrong (HTTP 400, code 1, "invalid token")',
        },
      ],
    });
    for (const seen of [...a.seen, ...b.seen, ...c.seen]) {
      assert.equal(seen.path, '/api/v1/cfssl/authsign');
      assert.deepEqual(requestOf(seen).json, { certificate_request: '', label: 'primary', profile: 'server' });
    }
  });

  test('may be of another profile', async (t) => {
    const server = await startServer(t, multirootca(KEY));
    await connect(t, [server.url]).probe({ ...never, profile: 'ca' });
    assert.deepEqual(
      server.seen.map((seen) => requestOf(seen).json),
      [{ certificate_request: '', label: 'primary', profile: 'ca' }],
    );
  });

  test('fails when no endpoint accepts, and leaves no outcome open', async (t) => {
    const a = await startServer(t, always(400, failure(1, 'bad request')));
    const b = await startServer(t, always(502, ''));
    const error = await errorOf(connect(t, [a.url, b.url]).probe(never));
    assert.deepEqual(codesOf(error), [
      [a.url, 'CFSSL_UNKNOWN_LABEL'],
      [b.url, 'CFSSL_UNAVAILABLE'],
    ]);
    assert.equal(error.code, 'CFSSL_UNAVAILABLE');
    assert.equal(error.details.maybeProcessed, false);
    const unanswered = await startServer(t, ({ socket }) => socket.destroy());
    const lost = await errorOf(connect(t, [unanswered.url]).probe(never));
    assert.deepEqual([lost.code, lost.details.maybeProcessed], ['CFSSL_CONNECTION_LOST', false]);
    assert.ok(error.message.startsWith('Cannot prove the access with label "primary" and profile "server": '));
  });
});

describe('CfsslClient.findIgnoringValidity', () => {
  test('tells the endpoints that do not complain of an end that is no time, and none that does not answer', async (t) => {
    const obeys = await startServer(t, always(400, failure(1, 'parsing time "x" as "2006-01-02": cannot parse "x"')));
    const ignores = await startServer(t, multirootca(KEY));
    const client = connect(t, [obeys.url, ignores.url, await closedUrl()]);
    assert.deepEqual(await client.findIgnoringValidity(never), [ignores.url]);
    assert.deepEqual(
      ignores.seen.map((seen) => requestOf(seen).json),
      [{ certificate_request: '', label: 'primary', profile: 'server', NotAfter: 'x' }],
    );
  });

  test('fails when no endpoint answers', async (t) => {
    const error = await errorOf(connect(t, [await closedUrl()]).findIgnoringValidity(never));
    assert.equal(error.code, 'CFSSL_UNREACHABLE');
  });
});

describe('CfsslClient.info', () => {
  test('asks every endpoint and gives the first answer', async (t) => {
    const a = await closedUrl();
    const b = await startServer(t, multirootca(KEY));
    const c = await startServer(t, always(400, failure(400, 'bad label')));
    const client = connect(t, [a, b.url, c.url]);
    assert.deepEqual(await client.info(never), {
      certificatePem: certPem,
      usages: ['signing'],
      expiry: '8760h',
      endpoint: b.url,
      failures: [
        { endpoint: a, code: 'CFSSL_UNREACHABLE', reason: 'the server cannot be reached (ECONNREFUSED)' },
        {
          endpoint: c.url,
          code: 'CFSSL_UNKNOWN_LABEL',
          reason: 'the server does not know the label (HTTP 400, code 400, "bad label")',
        },
      ],
    });
    assert.deepEqual(
      b.seen.map(({ path, body }) => [path, body]),
      [['/api/v1/cfssl/info', '{"label":"primary","profile":"server"}']],
    );
    assert.deepEqual(
      client.endpointStates().map(({ reachable }) => reachable),
      [false, true, true],
    );
  });

  test('asks endpoints that pause, and ends their pause', async (t) => {
    let isBroken = true;
    const a = await startServer(t, (seen, response) => {
      if (isBroken) response.writeHead(404).end();
      else multirootca(KEY)(seen, response);
    });
    const b = await startServer(t, multirootca(KEY));
    const client = connect(t, [a.url, b.url]);
    assert.equal((await client.sign({ csrPem: CSR }, never)).endpoint, b.url);
    isBroken = false;
    assert.equal((await client.sign({ csrPem: CSR }, never)).endpoint, b.url);
    assert.equal((await client.info(never)).endpoint, a.url);
    assert.equal((await client.sign({ csrPem: CSR }, never)).endpoint, a.url);
  });
});

describe('CfsslClient.close', () => {
  test('lets calls in flight end, refuses new ones, closes the connections', async (t) => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<() => void>();
    const { promise: disconnected, resolve: onDisconnected } = Promise.withResolvers<void>();
    const server = await startServer(t, ({ socket }, response) => {
      socket.once('close', onDisconnected);
      onAsked(() => response.end(success({ certificate: certPem })));
    });
    const client = connect(t, [server.url]);
    const signed = client.sign({ csrPem: CSR }, never);
    const answer = await asked;
    let isClosed = false;
    const closed = client.close().then(() => {
      isClosed = true;
    });
    const error = await errorOf(client.sign({ csrPem: CSR }, never));
    assert.deepEqual([error.code, error.details.maybeProcessed], ['CFSSL_ABORTED', false]);
    await settle();
    assert.equal(isClosed, false);
    answer();
    assert.equal((await signed).certificatePem, certPem);
    await closed;
    await disconnected;
    await client.close();
  });

  test('leaves nothing behind over 10,000 changes of configuration', async (t) => {
    const server = await startServer(t, multirootca(KEY));
    const clock = new ManualClock();
    const endpoints = parseEndpoints(server.url);
    const config = { endpoints, label: 'l', keys: { current: KEY }, timeoutMs: 10_000 };
    const cycle = async (isUsed: boolean): Promise<void> => {
      const client = createCfsslClient({ clock, log: silentLog, random: () => 0 }, config);
      if (isUsed) await client.sign({ csrPem: CSR }, never);
      await client.close();
    };
    const countResources = async (): Promise<number> => {
      await settle();
      return process.getActiveResourcesInfo().length;
    };
    for (let i = 0; i < 100; i++) await cycle(true);
    const before = await countResources();
    for (let i = 0; i < 10_000; i++) await cycle(i % 10 === 0);
    // The server learns of a closed connection a moment later.
    for (let turns = 0; (await countResources()) > before && turns < 1000; turns++);
    assert.ok((await countResources()) <= before);
    assert.equal(clock.pendingTimers, 0);
    assert.equal(server.seen.length, 1100);
  });
});
