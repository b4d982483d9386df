/** An issuer that broke and was mended: its requests wait, are never failed, and are signed at once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { startMultirootca } from '../tools/servers/index.ts';
import {
  createNamespace,
  createReadyIssuer,
  createRequest,
  getEnvironment,
  issuerManifests,
  judgeRequest,
  readyOf,
  waitForReason,
} from './support/environment.ts';

describe('an issuer whose CFSSL is gone', () => {
  test('turns Unreachable with its first request, and signs within 5 s of the return', async () => {
    const { cluster } = await getEnvironment('bare');
    await using cfssl = await startMultirootca();
    const namespace = await createNamespace(cluster, 'gone');
    const issuerAt = await createReadyIssuer(cluster, cfssl, { namespace });

    await cfssl.stopServer();
    const at = { namespace, name: 'waiting' };
    await createRequest(cluster, { ...at, issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(cluster, at, 'Approved');
    const gone = await cluster.waitFor<ObjectWithConditions>(issuerAt, (found) => isReady(found, 'False'));
    assert.equal(readyOf(gone)?.reason, 'Unreachable');
    assert.match(readyOf(gone)?.message ?? '', new RegExp(`${cfssl.url}.*check that CFSSL runs`));
    const waiting = await cluster.waitFor<CertificateRequest>(
      { resource: CERTIFICATE_REQUESTS, ...at },
      (request) => readyOf(request)?.message?.includes('"Unreachable"') === true,
    );
    assert.equal(readyOf(waiting)?.reason, 'Pending');

    await cfssl.startServer();
    const backMs = performance.now();
    await waitForReason(cluster, at, 'Issued');
    assert.ok(performance.now() - backMs < 5_000, `signed ${performance.now() - backMs} ms after the return`);
  });
});

describe('a request that CFSSL refuses', () => {
  test('fails at once, after two POSTs, and the issuer stays Ready', async () => {
    const { cluster, cfssl, issuer: program } = await getEnvironment('bare');
    const namespace = await createNamespace(cluster, 'refused');
    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec: { profile: 'whitelist' } });
    await cluster.create(secret);
    await cluster.create(issuer);
    const at = { namespace, name: 'elsewhere' };
    await createRequest(cluster, {
      ...at,
      issuerRef: { kind: 'Issuer', name: 'ca' },
      csr: { dnsNames: ['other.example'] },
    });
    await judgeRequest(cluster, at, 'Approved');
    const failed = await waitForReason(cluster, at, 'Failed');
    assert.match(readyOf(failed)?.message ?? '', /^Failed permanently to sign CertificateRequest: .*bad request/);
    assert.match(failed.status?.failureTime ?? '', /^\d{4}-/);
    const found = await cluster.client.get<ObjectWithConditions>(resourceOf(issuer), { namespace, name: 'ca' });
    assert.equal(isReady(found), true);
    assert.equal(
      program.readLog().some((record) => record['name'] === 'elsewhere' && record['msg'] === 'Certificate issued'),
      false,
    );
  });
});
