/** What keeps no issuer from signing and is told once all the same, on servers that cannot do what they are asked for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { KubernetesObject } from '../src/kubernetes/index.ts';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { startCfsslServe } from '../tools/servers/index.ts';
import { verifyRequest } from '../tools/verify.ts';
import {
  createNamespace,
  createRequest,
  type Environment,
  getEnvironment,
  issuerManifests,
  judgeRequest,
  waitForReason,
} from './support/environment.ts';

const EVENTS = { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event', namespaced: true };

interface Event extends KubernetesObject {
  readonly reason: string;
  readonly series?: { readonly count: number };
  readonly regarding: { readonly kind: string; readonly name: string };
}

/** Waits for an event about the Issuer and gives how often it was told. */
async function waitForIssuerEvent({ cluster }: Environment, namespace: string, reason: string): Promise<number> {
  for (;;) {
    const { items } = await cluster.client.list<Event>(EVENTS, { namespace });
    const told = items.filter((event) => event.regarding.kind === 'Issuer' && event.reason === reason);
    if (told.length > 0) return told.reduce((sum, event) => sum + (event.series?.count ?? 1), 0);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('bundle: true against an unmodified multirootca', () => {
  test('issues once for each request, with a complete chain, and says so once', async () => {
    const environment = await getEnvironment('bare');
    const { cluster, cfssl, issuer: program } = environment;
    const namespace = await createNamespace(cluster, 'bundle');
    const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec: { bundle: true } });
    await cluster.create(secret);
    await cluster.create(issuer);
    for (const name of ['first', 'second']) {
      const at = { namespace, name };
      await createRequest(cluster, { ...at, issuerRef: { kind: 'Issuer', name: 'ca' } });
      await judgeRequest(cluster, at, 'Approved');
      const { chain } = verifyRequest(await waitForReason(cluster, at, 'Issued'), {
        rootPem: cfssl.rootPem,
        intermediatePems: [],
      });
      assert.equal(chain.length, 3);
    }
    const issued = program
      .readLog()
      .filter((line) => line['msg'] === 'Certificate issued' && line['namespace'] === namespace);
    assert.deepEqual(
      issued.map((line) => line['name']),
      ['first', 'second'],
    );
    assert.equal(await waitForIssuerEvent(environment, namespace, 'BundleUnavailable'), 1);
  });
});

describe('cfssl serve', () => {
  test('signs, and says once that it does not tell an unknown profile', async () => {
    const environment = await getEnvironment('bare');
    const { cluster } = environment;
    await using serve = await startCfsslServe();
    const namespace = await createNamespace(cluster, 'serve');
    const { secret, issuer } = issuerManifests(serve, { name: 'ca', namespace, spec: { profile: 'no-such-profile' } });
    await cluster.create(secret);
    await cluster.create(issuer);
    const issuerAt = { resource: resourceOf(issuer), namespace, name: 'ca' };
    await cluster.waitFor<ObjectWithConditions>(issuerAt, (found) => isReady(found));
    assert.equal(await waitForIssuerEvent(environment, namespace, 'ProfileNotProven'), 1);
    const at = { namespace, name: 'request' };
    await createRequest(cluster, { ...at, issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(cluster, at, 'Approved');
    await waitForReason(cluster, at, 'Issued');
  });
});
