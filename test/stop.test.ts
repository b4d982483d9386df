/** SIGTERM: what is in flight is finished, the lease is released, the process ends with 0. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type KubernetesObject, LEASES } from '../src/kubernetes/index.ts';
import { startIssuer } from '../tools/issuer-process.ts';
import {
  CLUSTER_RESOURCE_NAMESPACE,
  createNamespace,
  createRequest,
  getServers,
  issuerManifests,
  judgeRequest,
  waitForReason,
} from './support/environment.ts';

const LEASE_NAME = '51059ce8.wikimedia.org';
const REQUESTS = 60;

interface Lease extends KubernetesObject {
  readonly spec: { readonly holderIdentity?: string; readonly leaseTransitions?: number };
}

describe('SIGTERM', () => {
  test('in the middle of a burst loses no certificate and issues none twice', async () => {
    const { controlPlane, cfssl, cluster } = await getServers();
    const namespace = await createNamespace(cluster, 'stop');
    const manifests = issuerManifests(cfssl, { name: 'ca', namespace });
    const names = Array.from({ length: REQUESTS }, (_, at) => `burst-${at}`);
    for (const name of names)
      await createRequest(cluster, { namespace, name, issuerRef: { kind: 'Issuer', name: 'ca' } });
    for (const name of names) await judgeRequest(cluster, { namespace, name }, 'Approved');

    await using first = await startIssuer({ access: controlPlane, flags: ['--enable-leader-election'] });
    const lease = { resource: LEASES, namespace: CLUSTER_RESOURCE_NAMESPACE, name: LEASE_NAME };
    await cluster.waitFor<Lease>(lease, ({ spec }) => (spec.holderIdentity ?? '') !== '');
    await cluster.create(manifests.secret);
    await cluster.create(manifests.issuer);
    await Promise.any(names.map((name) => waitForReason(cluster, { namespace, name }, 'Issued')));
    process.kill(first.pid, 'SIGTERM');
    assert.equal(await first.ended, 'exit code 0');
    const log = first.readLog();
    assert.equal(log.at(-1)?.['msg'], 'Stopped');
    const { spec } = await cluster.client.get<Lease>(LEASES, lease);
    assert.equal(spec.holderIdentity ?? '', '', 'the lease is released');

    await using second = await startIssuer({ access: controlPlane, flags: ['--enable-leader-election'] });
    await Promise.all(names.map((name) => waitForReason(cluster, { namespace, name }, 'Issued')));
    const issued = [...log, ...second.readLog()].filter(
      (record) => record['msg'] === 'Certificate issued' && record['namespace'] === namespace,
    );
    assert.deepEqual(issued.map((record) => String(record['name'])).sort(), [...names].sort());
  });
});
