import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';

import { ManualClock, settle } from '../../test/support/manual-clock.ts';

import { createCfsslClient } from './client.ts';
import { parseEndpoints } from './endpoints.ts';
import {
  always,
  CSR,
  certPem,
  closedUrl,
  codesOf,
  connect,
  errorOf,
  KEY,
  multirootca,
  NEXT_KEY,
  never,
  requestOf,
} from './testing/client-setup.ts';
import { createAuthority, failure, silentLog, startServer, success } from './testing/test-support.ts';
import { createToken } from './token.ts';

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
