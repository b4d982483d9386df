/** What a status tells of its times and generations, and an issuer whose Ready condition is about an earlier spec. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CERTIFICATE_REQUESTS, type CertificateRequest, ISSUERS } from '../src/api/index.ts';
import type { ObjectWithConditions } from '../tools/cluster.ts';
import { createApproved } from './support/approved-requests.ts';
import { startCfsslProxy } from './support/cfssl-proxy.ts';
import {
  createNamespace,
  createReadyIssuer,
  getEnvironment,
  issuerManifests,
  readyOf,
  waitForReason,
} from './support/environment.ts';
import { until } from './support/until.ts';

const OUTDATED = 'Waiting for issuer to become ready. Current issuer ready condition is outdated.';
/** The times in statuses are of whole seconds. */
const NEXT_SECOND_MS = 1_100;

describe('an issuer whose Ready condition is outdated', () => {
  test('signs nothing until its new spec is checked; observedGeneration tells which one was', async () => {
    const { cluster, cfssl } = await getEnvironment('bare');
    await using proxy = await startCfsslProxy(cfssl);
    const namespace = await createNamespace(cluster, 'outdated');
    const issuerAt = await createReadyIssuer(cluster, cfssl, { namespace, spec: { url: proxy.url } });

    // The check of the new spec gets no answer for now.
    const gate = Promise.withResolvers<void>();
    proxy.fault = {
      of: 'all calls',
      make: async ({ response, forward }) => {
        await gate.promise;
        const { status, contentType, body } = await forward();
        response.writeHead(status, { 'content-type': contentType }).end(body);
      },
    };
    const callsBefore = proxy.calls;
    await cluster.client.mergePatch(ISSUERS, issuerAt, { spec: { profile: 'server-short' } });
    await until('the new spec is being checked', () => proxy.calls > callsBefore);
    await createApproved(cluster, namespace, ['request']);
    const at = { namespace, name: 'request' };
    assert.equal(readyOf(await waitForReason(cluster, at, 'Pending'))?.message, OUTDATED);
    const outdated = await cluster.client.get<ObjectWithConditions>(ISSUERS, issuerAt);
    assert.deepEqual(
      [readyOf(outdated)?.status, readyOf(outdated)?.observedGeneration, outdated.metadata.generation],
      ['True', 1, 2],
    );
    assert.equal(proxy.received, 0, 'nothing was sent to be signed');

    gate.resolve();
    await waitForReason(cluster, at, 'Issued');
    const checked = await cluster.client.get<ObjectWithConditions>(ISSUERS, issuerAt);
    assert.equal(readyOf(checked)?.observedGeneration, 2);
    assert.equal(readyOf(checked)?.lastTransitionTime, readyOf(outdated)?.lastTransitionTime, 'it was Ready all along');
  });
});

describe('lastTransitionTime changes with the status only, and failureTime comes with the failure', () => {
  test('of a request that is Pending, Pending for another reason, and Failed', async () => {
    const { cluster, cfssl } = await getEnvironment('bare');
    const namespace = await createNamespace(cluster, 'times');
    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec: { profile: 'whitelist' } });
    const at = { namespace, name: 'request' };
    const pending = async (message: string): Promise<CertificateRequest> =>
      await cluster.waitFor<CertificateRequest>(
        { resource: CERTIFICATE_REQUESTS, ...at },
        (found) => readyOf(found)?.message?.includes(message) === true,
      );
    await createApproved(cluster, namespace, ['request']);
    const first = await pending('not found');
    await sleep(NEXT_SECOND_MS);
    await cluster.create(issuer);
    const second = await pending('SecretNotFound');
    await cluster.create(secret);
    const failed = await waitForReason(cluster, at, 'Failed');
    for (const { status } of [first, second]) assert.equal(status?.failureTime, undefined);
    const since = readyOf(first)?.lastTransitionTime ?? assert.fail();
    assert.deepEqual([readyOf(second)?.lastTransitionTime, readyOf(failed)?.lastTransitionTime], [since, since]);
    assert.ok(Date.parse(failed.status?.failureTime ?? '') > Date.parse(since));
  });
});
