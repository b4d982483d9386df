/** Every state of a request that is set without a fault of CFSSL, on a cluster where the test alone approves. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { verifyRequest } from '../tools/verify.ts';
import {
  createNamespace,
  createRequest,
  type Environment,
  getEnvironment,
  issuerManifests,
  judgeRequest,
  readyOf,
  waitForReason,
} from './support/environment.ts';
import { waitForEvent } from './support/events.ts';

async function setUp(prefix: string): Promise<Environment & { readonly namespace: string }> {
  const environment = await getEnvironment('bare');
  return { ...environment, namespace: await createNamespace(environment.cluster, prefix) };
}

/** Waits for an event about the request and gives all reasons told about it. */
async function waitForReasons(
  { cluster }: Environment,
  namespace: string,
  name: string,
  reason: string,
): Promise<string[]> {
  const told = await waitForEvent(cluster, { namespace, kind: 'CertificateRequest', name }, reason);
  return told.map((event) => event.reason);
}

/**
 * Proves that a request was left alone: a sentinel, created after it and served by the same queue, is finished, and the
 * request still has no Ready condition.
 */
async function assertUntouched(environment: Environment & { readonly namespace: string }, name: string): Promise<void> {
  const { cluster, namespace } = environment;
  await createRequest(cluster, { namespace, name: 'sentinel', issuerRef: { kind: 'Issuer', name: 'ca' } });
  await judgeRequest(cluster, { namespace, name: 'sentinel' }, 'Denied');
  await waitForReason(cluster, { namespace, name: 'sentinel' }, 'Denied');
  const request = await cluster.client.get<CertificateRequest>(CERTIFICATE_REQUESTS, { namespace, name });
  assert.equal(readyOf(request), undefined);
}

describe('the state of a CertificateRequest', () => {
  test('of a foreign group is left alone', async () => {
    const environment = await setUp('foreign');
    const { cluster, namespace } = environment;
    const foreign = { group: 'cert-manager.io', kind: 'Issuer', name: 'ca' };
    await createRequest(cluster, { namespace, name: 'theirs', issuerRef: foreign });
    await judgeRequest(cluster, { namespace, name: 'theirs' }, 'Approved');
    await assertUntouched(environment, 'theirs');
  });

  test('that is not approved is left alone, with one event that says so', async () => {
    const environment = await setUp('unapproved');
    const { cluster, cfssl, namespace } = environment;
    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
    await cluster.create(secret);
    await cluster.create(issuer);
    await createRequest(cluster, { namespace, name: 'waiting', issuerRef: { kind: 'Issuer', name: 'ca' } });
    await assertUntouched(environment, 'waiting');
    const reasons = await waitForReasons(environment, namespace, 'waiting', 'WaitingForApproval');
    assert.deepEqual(reasons, ['WaitingForApproval']);
    await judgeRequest(cluster, { namespace, name: 'waiting' }, 'Approved');
    await waitForReason(cluster, { namespace, name: 'waiting' }, 'Issued');
  });

  for (const [conditions, name] of [
    [['Denied'], 'denied'],
    [['Approved', 'Denied'], 'approved-and-denied'],
  ] as const) {
    test(`with ${conditions.join(' and ')} is Denied, with a failureTime`, async () => {
      const { cluster, namespace } = await setUp('denied');
      await createRequest(cluster, { namespace, name, issuerRef: { kind: 'Issuer', name: 'nobody' } });
      await judgeRequest(cluster, { namespace, name }, ...conditions);
      const { status } = await waitForReason(cluster, { namespace, name }, 'Denied');
      assert.equal(readyOf({ status: status ?? {} })?.status, 'False');
      assert.match(status?.failureTime ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(status?.certificate, undefined);
    });
  }

  test('is Pending while its issuer is missing, then not ready, and Issued as soon as it is ready', async () => {
    const environment = await setUp('pending');
    const { cluster, cfssl, namespace } = environment;
    const at = { namespace, name: 'early' };
    await createRequest(cluster, { ...at, issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(cluster, at, 'Approved');
    const missing = await waitForReason(cluster, at, 'Pending');
    assert.equal(
      readyOf(missing)?.message,
      'issuers.cfssl-issuer.wikimedia.org "ca" not found. Waiting for it to be created.',
    );

    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
    await cluster.create(issuer);
    const secretName = `${namespace}/ca-key`;
    const notReady = await cluster.waitFor<CertificateRequest>(
      { resource: CERTIFICATE_REQUESTS, ...at },
      (request) => readyOf(request)?.message?.includes('SecretNotFound') === true,
    );
    assert.equal(
      readyOf(notReady)?.message,
      `Waiting for issuer to become ready. Current issuer ready condition is "SecretNotFound": Secret ${secretName} does not exist; create it.`,
    );
    assert.equal(readyOf(notReady)?.status, 'False');
    assert.equal(notReady.status?.failureTime, undefined);

    const createdMs = performance.now();
    await cluster.create(secret);
    const issued = await waitForReason(cluster, at, 'Issued');
    assert.ok(performance.now() - createdMs < 3_000, 'the request is signed within 3 s of the repair');
    assert.equal(readyOf(issued)?.message, 'Succeeded signing the CertificateRequest');
    const { chain, ca } = verifyRequest(issued, { rootPem: cfssl.rootPem, intermediatePems: [] });
    assert.equal(chain.length, 3);
    assert.ok(ca !== undefined);
    const reasons = await waitForReasons(environment, namespace, 'early', 'Issued');
    const wanted = ['Issued', 'WaitingForApproval', 'WaitingForIssuerExist', 'WaitingForIssuerReady'];
    assert.deepEqual([...new Set(reasons)].sort(), wanted);
  });

  test('an issuer tells its state, its endpoints and its CA', async () => {
    const { cluster, cfssl, namespace } = await setUp('issuer');
    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
    await cluster.create({ ...secret, stringData: { key: '00' } });
    await cluster.create(issuer);
    const at = { resource: resourceOf(issuer), namespace, name: 'ca' };
    const refused = await cluster.waitFor<ObjectWithConditions>(
      at,
      (found) => readyOf(found)?.reason === 'AuthenticationFailed',
    );
    assert.match(readyOf(refused)?.message ?? '', new RegExp(`check the field "key" of Secret ${namespace}/ca-key`));
    await cluster.client.mergePatch(
      resourceOf(secret),
      { namespace, name: 'ca-key' },
      { stringData: secret['stringData'] },
    );
    const ready = await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found));
    const { conditions, ...status } = ready.status as Record<string, unknown>;
    assert.equal((conditions as { observedGeneration: number }[])[0]?.observedGeneration, 1);
    assert.deepEqual(Object.keys(status).sort(), ['ca', 'endpoints', 'keyInUse']);
    assert.deepEqual(status['endpoints'], [{ url: cfssl.url, reachable: true }]);
    assert.equal(status['keyInUse'], 'key');
  });
});
