/**
 * The switch from the Go program, on one cluster and in order: its objects are there, our CRDs go over its own, our program
 * starts while it still runs, takes over when it has gone, and makes way for it again. What was issued stays as it is,
 * to the resourceVersion.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CERTIFICATE_REQUESTS,
  type CertificateRequest,
  CLUSTER_ISSUERS,
  ISSUERS,
  type Issuer,
} from '../src/api/index.ts';
import { type KubernetesObject, keyOf, type Lease, type Resource } from '../src/kubernetes/index.ts';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import { verifySecret } from '../tools/verify.ts';
import { LEASE } from './migration/go-program.ts';
import { CERTIFICATES, ITS_CRDS, isSettled, listIssuers, type OldWorld, startOldWorld } from './migration/old-world.ts';
import { kubectl } from './support/config-maps.ts';
import { createRequest, readyOf, waitForReason } from './support/environment.ts';

const OUR_CRDS = join(import.meta.dirname, '../config/crd');
const SECRETS = resourceOf({ apiVersion: 'v1', kind: 'Secret' });
const FLAGS = ['--enable-leader-election'];

/** Requests that are over: nobody touches them again. */
const DONE = ['issued', 'issued-bundle', 'failed', 'denied-and-marked'];
/** Approved requests that the Go program had not come to an end with, and whose issuers are in order. */
const OPEN = ['initialising', 'retried', 'never-seen'];
const READY_ISSUERS = [
  'team-a/issuer-sample',
  'team-b/bare-host',
  'team-b/issuer-sample',
  'team-b/never-seen',
  'team-b/slash',
  'clusterissuer-sample',
  'discovery',
];

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());
let started: Promise<OldWorld> | undefined;

function getOldWorld(): Promise<OldWorld> {
  started ??= startOldWorld(cleanup);
  return started;
}

/** Objects by kind, namespace and name, as the API server has them. */
async function snapshot(
  { cluster }: OldWorld,
  resources: readonly Resource[],
  isWanted: (object: KubernetesObject) => boolean = () => true,
): Promise<ReadonlyMap<string, KubernetesObject>> {
  const found = new Map<string, KubernetesObject>();
  for (const resource of resources) {
    const { items } = await cluster.client.list<KubernetesObject>(resource, {});
    for (const item of items.filter(isWanted)) found.set(`${resource.kind} ${keyOf(item)}`, item);
  }
  return found;
}

const ALL = [ISSUERS, CLUSTER_ISSUERS, CERTIFICATE_REQUESTS, CERTIFICATES, SECRETS];

/** What was finished before the switch. */
function snapshotDone(old: OldWorld): ReturnType<typeof snapshot> {
  const names = new Set([...DONE, 'web-1', 'mesh-1', 'web', 'mesh', 'web-tls', 'mesh-tls', ...keySecretsOf(old)]);
  return snapshot(old, [CERTIFICATE_REQUESTS, CERTIFICATES, SECRETS], ({ metadata }) => names.has(metadata.name));
}

function keySecretsOf({ manifests }: OldWorld): readonly string[] {
  return manifests.filter(({ kind }) => kind === 'Secret').map(({ metadata }) => metadata.name);
}

async function waitUntilReady({ cluster }: OldWorld): Promise<void> {
  for (const key of READY_ISSUERS) {
    const [name = '', namespace] = key.split('/').reverse();
    const at = namespace === undefined ? { resource: CLUSTER_ISSUERS, name } : { resource: ISSUERS, namespace, name };
    await cluster.waitFor<Issuer & ObjectWithConditions>(
      at,
      (found) => isReady(found) && readyOf(found)?.observedGeneration === found.metadata.generation,
    );
  }
}

let done: ReadonlyMap<string, KubernetesObject>;
let issuersBefore: readonly Issuer[];

describe('the switch from the Go program', () => {
  test('our CRDs go over its own and accept all that is stored, unchanged', async () => {
    const old = await getOldWorld();
    const { controlPlane, cluster } = old;
    done = await snapshotDone(old);
    issuersBefore = await listIssuers(cluster.client);
    const before = await snapshot(old, ALL);
    assert.match(await kubectl(controlPlane, 'apply', '-k', OUR_CRDS), /issuers.cfssl-issuer.wikimedia.org configured/);
    // The Go program may go on writing what it wrote before.
    for (const issuer of issuersBefore) {
      const { status } = issuer;
      if (status !== undefined) await old.program.putIssuerStatus(issuer, status);
    }
    assert.deepEqual(await snapshot(old, ALL), before);
    for (const { kind, metadata, ...rest } of old.manifests.filter(({ kind }) => kind.endsWith('Issuer'))) {
      // A new object: what is stored already is not validated as strictly.
      const copy = { kind, ...rest, metadata: { ...metadata, name: `${metadata.name}-copy` } };
      await cluster.create(copy);
      await cluster.client.delete(resourceOf(copy), copy.metadata);
    }
  });

  test('while it renews its lease, our program does nothing', async () => {
    const old = await getOldWorld();
    const { controlPlane, cluster, proxy, program } = old;
    const before = await snapshot(old, ALL);
    await using issuer = await startIssuer({ access: controlPlane, flags: FLAGS });
    for (let renewals = 0, last = ''; renewals < 4; renewals++) {
      const { spec } = await cluster.waitFor<Lease>(LEASE, (lease) => lease.spec?.renewTime !== last);
      assert.equal(spec?.holderIdentity, program.identity);
      last = spec?.renewTime ?? '';
    }
    assert.equal(proxy.received, 0);
    assert.deepEqual(await snapshot(old, ALL), before);
    assert.ok((await fetch(`${issuer.healthUrl}/readyz`)).ok, 'it is ready all the same, so that a rollout goes on');
  });

  test('when it has gone, what is open is issued, once, and what was issued stays as it is', async () => {
    const old = await getOldWorld();
    const { controlPlane, cluster, proxy, program, cfssl } = old;
    await using issuer = await startIssuer({ access: controlPlane, flags: FLAGS });
    await program.stop();
    await waitUntilReady(old);
    for (const name of OPEN) await waitForReason(cluster, { namespace: 'team-b', name }, 'Issued');
    const late = { resource: CERTIFICATES, namespace: 'team-b', name: 'late' };
    const certificate = await cluster.waitFor<ObjectWithConditions>(late, isSettled);
    await verifySecret(cluster, certificate, { rootPem: cfssl.rootPem, intermediatePems: [] });

    const denied = await waitForReason(cluster, { namespace: 'team-b', name: 'denied' }, 'Denied');
    assert.notEqual(denied.status?.failureTime, undefined);
    const waiting = await cluster.waitFor<CertificateRequest>(
      { resource: CERTIFICATE_REQUESTS, namespace: 'team-b', name: 'waiting' },
      (request) => readyOf(request)?.message?.startsWith('Waiting for issuer') === true,
    );
    assert.equal(readyOf(waiting)?.reason, 'Pending');

    assert.deepEqual(await snapshotDone(old), done);
    const { spec } = await cluster.client.get<Lease>(LEASE.resource, LEASE);
    assert.equal(spec?.leaseTransitions, 1);
    const issued = issuer.readLog().filter(({ msg }) => msg === 'Certificate issued');
    // cert-manager, whose own caches may lag behind, sometimes makes another request for the Certificate.
    const byCertificate = issued.filter(({ name }) => String(name).startsWith('late-'));
    assert.equal(issued.length - byCertificate.length, OPEN.length);
    assert.ok(byCertificate.length > 0);
    assert.equal(new Set(issued.map(({ uid }) => uid)).size, issued.length, 'one certificate for each request');
    assert.equal(proxy.forwarded, issued.length, 'and no other');
  });

  test('the statuses of issuers are ours, with nothing of its left in them, and come to rest', async () => {
    const old = await getOldWorld();
    const { controlPlane, cluster } = old;
    await using issuer = await startIssuer({ access: controlPlane, flags: FLAGS });
    await waitForRest(old, issuer);
    const issuers = await listIssuers(cluster.client);
    assert.equal(issuers.length, issuersBefore.length);
    for (const { metadata, spec, status } of issuers) {
      const before = issuersBefore.find((other) => other.metadata.uid === metadata.uid);
      assert.deepEqual(spec, before?.spec, `the spec of ${keyOf({ metadata })}`);
      assert.equal(status?.conditions?.length, 1);
      const ready = readyOf(status === undefined ? {} : { status });
      assert.equal(ready?.observedGeneration, 1);
      assert.notEqual(ready?.reason, 'IssuerReconciler');
      const isReadyNow = READY_ISSUERS.includes(keyOf({ metadata }));
      assert.equal(ready?.status, isReadyNow ? 'True' : 'False', keyOf({ metadata }));
      if (isReadyNow && before !== undefined && readyOf(before)?.status === 'True') {
        assert.equal(ready?.lastTransitionTime, readyOf(before)?.lastTransitionTime, 'it was Ready all along');
      }
    }
    const named = issuers.find(({ metadata }) => metadata.name === 'ready-in-name-only');
    assert.equal(readyOf(named as object)?.reason, 'AuthenticationFailed');
  });

  test('its CRDs go back over ours: everything is still there and it can write again', async () => {
    const old = await getOldWorld();
    const { controlPlane, cluster } = old;
    const chain = { pem: old.cfssl.rootPem };
    await cluster.create({
      apiVersion: 'cfssl-issuer.wikimedia.org/v1alpha1',
      kind: 'Issuer',
      metadata: { name: 'new-style', namespace: 'team-a' },
      spec: {
        url: old.proxy.url,
        authSecretName: 'issuer-sample-credentials',
        label: 'intermediate1',
        chain,
        timeout: '5s',
      },
    });
    const before = await snapshot(old, ALL);
    await letGoProgramReport(old); // It need not wait for its CRDs.
    await kubectl(controlPlane, 'apply', '-f', ITS_CRDS);
    await waitUntilPruned(old);
    const after = await snapshot(old, ALL);
    const uidsOf = (objects: typeof before) => [...objects].map(([key, { metadata }]) => [key, metadata.uid]);
    assert.deepEqual(uidsOf(after), uidsOf(before), 'nothing is deleted and nothing made anew');
    assert.deepEqual(await snapshotDone(old), done);

    const issuers = await listIssuers(cluster.client);
    for (const issuer of issuers) {
      const { metadata, spec, status } = issuer;
      const original = issuersBefore.find((other) => other.metadata.uid === metadata.uid);
      if (original !== undefined) assert.deepEqual(spec, original.spec);
      else assert.deepEqual(Object.keys(spec as object).sort(), ['authSecretName', 'label', 'url']);
      assert.deepEqual(Object.keys(status ?? {}), status === undefined ? [] : ['conditions']);
    }
    await letGoProgramReport(old);
  });

  test('and forth again, nothing is issued that was issued before', async () => {
    const old = await getOldWorld();
    const { controlPlane, cluster, proxy } = old;
    const { forwarded } = proxy;
    await kubectl(controlPlane, 'apply', '-k', OUR_CRDS);
    await using _ = await startIssuer({ access: controlPlane, flags: FLAGS });
    await waitUntilReady(old);
    const at = { namespace: 'team-b', name: 'after' };
    await createRequest(cluster, { ...at, issuerRef: { kind: 'ClusterIssuer', name: 'discovery' } });
    await waitForReason(cluster, at, 'Issued');
    assert.equal(proxy.forwarded, forwarded + 1);
    assert.deepEqual(await snapshotDone(old), done);
  });
});

/** Waits until the leader has checked all issuers, and sees that further checks write nothing. */
async function waitForRest(old: OldWorld, { metricsUrl }: IssuerProcess): Promise<void> {
  const { cluster } = old;
  await cluster.waitFor<Lease>(LEASE, ({ spec }) => (spec?.holderIdentity ?? '') !== '');
  await waitUntilReady(old);
  const countChecks = async (): Promise<number> => {
    const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
    const lines = metrics.matchAll(
      /^controller_runtime_reconcile_total\{controller="(?:cluster)?issuer",.*\} (\d+)$/gm,
    );
    return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const untilChecks = async (count: number): Promise<void> => {
    while ((await countChecks()) < count) await sleep(50);
  };
  const versions = async () => (await listIssuers(cluster.client)).map(({ metadata }) => metadata.resourceVersion);
  await untilChecks(issuersBefore.length * 2);
  const before = await versions();
  // Those that are not ready are checked every few seconds.
  await untilChecks((await countChecks()) + 4);
  assert.deepEqual(await versions(), before);
}

/** The Go program checks all issuers, and finds them in order. */
async function letGoProgramReport({ cluster, program }: OldWorld): Promise<void> {
  for (const issuer of await listIssuers(cluster.client)) await program.reportIssuer(issuer, 'True');
  for (const { metadata, status } of await listIssuers(cluster.client)) {
    assert.deepEqual(Object.keys(status ?? {}), ['conditions']);
    assert.deepEqual(
      status?.conditions?.map(({ reason, observedGeneration }) => [reason, observedGeneration]),
      [['IssuerReconciler', undefined]],
      keyOf({ metadata }),
    );
  }
}

/** The API server takes a moment until it serves a changed CRD. */
async function waitUntilPruned({ cluster }: OldWorld): Promise<void> {
  const at = { resource: ISSUERS, namespace: 'team-a', name: 'new-style' };
  await cluster.waitFor<KubernetesObject & { readonly spec: object }>(at, ({ spec }) => !('chain' in spec));
}
