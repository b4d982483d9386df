/** How the client proves who it is, and whom it trusts, over real loopback sockets. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { createAuthority, issueCertificate } from '../../tools/servers/authority.ts';
import { Registry, systemClock } from '../platform/index.ts';
import { createKubernetesClient } from './client.ts';
import { isUnauthorized } from './errors.ts';
import { answer, at, errorOf, failure, start } from './testing/loopback-server.ts';
import { LogDouble, WIDGETS } from './testing/test-support.ts';

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
