import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';

import { ManualClock } from '../../test/support/manual-clock.ts';
import { type Clock, systemClock } from '../platform/index.ts';

import { parseEndpoints } from './endpoints.ts';
import { CfsslError } from './errors.ts';
import { createAuthority, rejection, startServer, startTcpServer } from './testing/test-support.ts';
import { createTlsContext, type TlsConfig } from './tls-context.ts';
import { createTransport, type HttpAnswer, type Transport } from './transport.ts';

const ca = await createAuthority('Server CA');
const clientCa = await createAuthority('Client CA');
const server = await ca.issue('server', {
  san: [
    { type: 'ip', value: '127.0.0.1' },
    { type: 'dns', value: 'localhost' },
  ],
});
const client = await clientCa.issue('client');
const stranger = await (await createAuthority('Other CA')).issue('client');

const certified = ({ certPem, keyPem }: { certPem: string; keyPem: string }) => ({ cert: certPem, key: keyPem });

const BODY = Buffer.from('{}');
const never = { signal: new AbortController().signal };

function connect(t: TestContext, url: string, tls: TlsConfig, clock: Clock = systemClock): Transport {
  const [endpoint] = parseEndpoints(url);
  assert.ok(endpoint !== undefined);
  const secureContext = createTlsContext(tls);
  const transport = createTransport({ clock }, { endpoint, secureContext, timeoutMs: 10_000, connectTimeoutMs: 5000 });
  t.after(() => transport.close());
  return transport;
}

function post(t: TestContext, url: string, tls: TlsConfig): Promise<HttpAnswer> {
  return connect(t, url, tls).post('sign', BODY, never);
}

async function failureOf(promise: Promise<unknown>): Promise<[code: string, reason: string, maybeProcessed: boolean]> {
  const error = await rejection(promise);
  assert.ok(error instanceof CfsslError, String(error));
  return [error.code, error.reason, error.details.maybeProcessed];
}

describe('TLS', () => {
  test('trusts the CA that it is told to trust', async (t) => {
    const { url } = await startServer(t, (_seen, response) => response.end('{}'), certified(server));
    assert.equal((await post(t, url, { caPem: ca.certPem })).status, 200);
    // Among others, with text in between.
    assert.equal((await post(t, url, { caPem: `# CAs\n${clientCa.certPem}\n# ours\n${ca.certPem}` })).status, 200);
  });

  test('names the server (SNI), unless it is an address', async (t) => {
    const names: unknown[] = [];
    const { url, port } = await startServer(
      t,
      ({ socket }, response) => {
        names.push((socket as TLSSocket & { servername?: string | false }).servername);
        response.end('{}');
      },
      certified(server),
    );
    await post(t, `https://localhost:${port}`, { caPem: ca.certPem });
    await post(t, url, { caPem: ca.certPem });
    assert.deepEqual(names, ['localhost', false]);
  });

  const untrusted = 'TLS failed: the server or our client certificate is not trusted';

  test('TLS: unknown CA', async (t) => {
    const { url, seen } = await startServer(t, (_seen, response) => response.end('{}'), certified(server));
    const expected = ['CFSSL_TLS_TRUST', `${untrusted} (unable to verify the first certificate)`, false];
    assert.deepEqual(await failureOf(post(t, url, { caPem: clientCa.certPem })), expected);
    assert.deepEqual(await failureOf(post(t, url, {})), expected);
    assert.equal(seen.length, 0);
  });

  test('TLS: wrong name', async (t) => {
    const other = await ca.issue('other', { san: [{ type: 'dns', value: 'ca.example' }] });
    const { url, port, seen } = await startServer(t, (_seen, response) => response.end('{}'), certified(other));
    assert.deepEqual(await failureOf(post(t, `https://localhost:${port}`, { caPem: ca.certPem })), [
      'CFSSL_TLS_TRUST',
      `${untrusted} (Host: localhost. is not in the cert's altnames: DNS:ca.example)`,
      false,
    ]);
    assert.equal((await failureOf(post(t, url, { caPem: ca.certPem })))[0], 'CFSSL_TLS_TRUST');
    assert.equal(seen.length, 0);
  });

  test('TLS: expired', async (t) => {
    const expired = await ca.issue('server', { san: [{ type: 'ip', value: '127.0.0.1' }], isExpired: true });
    const { url } = await startServer(t, (_seen, response) => response.end('{}'), certified(expired));
    assert.deepEqual(await failureOf(post(t, url, { caPem: ca.certPem })), [
      'CFSSL_TLS_TRUST',
      `${untrusted} (certificate has expired)`,
      false,
    ]);
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const demand = {
      ...certified(server),
      ca: clientCa.certPem,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: version,
      maxVersion: version,
    };

    test(`shows the client certificate, ${version}`, async (t) => {
      const holders: unknown[] = [];
      const { url } = await startServer(
        t,
        ({ socket }, response) => {
          holders.push((socket as TLSSocket).getPeerCertificate().subject.CN);
          response.end('{}');
        },
        demand,
      );
      const tls = { caPem: ca.certPem, clientCertPem: client.certPem, clientKeyPem: client.keyPem };
      assert.equal((await post(t, url, tls)).status, 200);
      assert.deepEqual(holders, ['client']);
    });

    // That TLS 1.3 tells it after the request was written must not make the outcome an open one.
    test(`TLS: client certificate required, ${version}`, async (t) => {
      const { url, seen } = await startServer(t, (_seen, response) => response.end('{}'), demand);
      assert.deepEqual(await failureOf(post(t, url, { caPem: ca.certPem })), [
        'CFSSL_TLS_TRUST',
        `${untrusted} (${version === 'TLSv1.2' ? 'ssl/tls alert handshake failure' : 'tlsv13 alert certificate required'})`,
        false,
      ]);
      assert.equal(seen.length, 0);
    });
  }

  test('TLS record error: https URL on a plain port', async (t) => {
    const { port } = await startServer(t, (_seen, response) => response.end('{}'));
    assert.deepEqual(await failureOf(post(t, `https://127.0.0.1:${port}`, {})), [
      'CFSSL_WRONG_SCHEME',
      'the URL says http where the server speaks https, or the reverse (wrong version number)',
      false,
    ]);
  });

  test('a request whose deadline passed while connecting is not sent when the connection stands', async (t) => {
    const paths: (string | undefined)[] = [];
    const https = createServer(certified(server), (request, response) => {
      paths.push(request.url);
      response.end('{}');
    });
    const { promise: accepted, resolve: onAccepted } = Promise.withResolvers<Socket>();
    let isFirst = true;
    const port = await startTcpServer(t, (socket) => {
      if (isFirst) onAccepted(socket);
      else https.emit('connection', socket);
      isFirst = false;
    });
    const clock = new ManualClock();
    const transport = connect(t, `https://127.0.0.1:${port}`, { caPem: ca.certPem }, clock);
    const failure = failureOf(transport.post('sign', BODY, never));
    const socket = await accepted;
    await clock.advance(10_000);
    assert.deepEqual(await failure, ['CFSSL_UNREACHABLE', 'the server cannot be reached (10000 ms)', false]);

    https.emit('connection', socket);
    await once(https, 'secureConnection');
    for (let i = 0; i < 3; i++) await transport.post('info', BODY, never);
    assert.deepEqual(paths, Array(3).fill('/api/v1/cfssl/info'));
  });

  test('a connection that breaks in the handshake proves that nothing was sent', async (t) => {
    const port = await startTcpServer(t, (socket) => {
      socket.once('data', () => socket.end());
    });
    assert.deepEqual(await failureOf(post(t, `https://127.0.0.1:${port}`, {})), [
      'CFSSL_UNREACHABLE',
      'the server cannot be reached (ECONNRESET)',
      false,
    ]);
  });
});

describe('createTlsContext', () => {
  const refused: readonly (readonly [name: string, tls: TlsConfig, reason: string])[] = [
    ['an empty CA bundle', { caPem: '' }, 'no trusted certificate can be read'],
    ['a CA bundle of text', { caPem: 'MIIB' }, 'no trusted certificate can be read'],
    [
      'a CA bundle of a broken certificate',
      { caPem: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n' },
      'no trusted certificate can be read',
    ],
    ['a key as CA bundle', { caPem: ca.keyPem }, 'no trusted certificate can be read'],
    [
      'a client certificate without key',
      { clientCertPem: client.certPem },
      'a client certificate needs its key, and a key its certificate',
    ],
    [
      'a client key without certificate',
      { clientKeyPem: client.keyPem },
      'a client certificate needs its key, and a key its certificate',
    ],
    [
      "another certificate's key",
      { clientCertPem: client.certPem, clientKeyPem: stranger.keyPem },
      'the client certificate and its key cannot be read or do not belong together',
    ],
    [
      'a client key that cannot be read',
      { clientCertPem: client.certPem, clientKeyPem: client.keyPem.replace('MIG', 'XXX') },
      'the client certificate and its key cannot be read or do not belong together',
    ],
  ];
  for (const [name, tls, reason] of refused) {
    test(`refuses ${name}`, () => {
      assert.throws(() => createTlsContext(tls), {
        name: 'CfsslError',
        code: 'CFSSL_INVALID_TLS',
        message: `Cannot use TLS settings: ${reason}`,
      });
    });
  }

  test('accepts nothing, a CA, a client certificate with key', () => {
    createTlsContext({});
    createTlsContext({ caPem: ca.certPem });
    createTlsContext({ clientCertPem: client.certPem + clientCa.certPem, clientKeyPem: client.keyPem });
  });
});
