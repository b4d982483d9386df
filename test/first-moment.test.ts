/** Nothing has to be there before anything else: a request and what it needs may come in any order, at the same moment. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ISSUERS } from '../src/api/index.ts';
import { createApproved, waitForAll } from './support/approved-requests.ts';
import { createNamespace, getEnvironment, issuerManifests } from './support/environment.ts';

const ROUNDS = 5;
const WITHIN_MS = 3_000;

const orders = [
  ['Secret', 'issuer', 'request'],
  ['Secret', 'request', 'issuer'],
  ['issuer', 'Secret', 'request'],
  ['issuer', 'request', 'Secret'],
  ['request', 'Secret', 'issuer'],
  ['request', 'issuer', 'Secret'],
] as const;

/** What creates each of them, in a new namespace. */
async function prepare(kind: 'Issuer' | 'ClusterIssuer') {
  const { cluster, cfssl } = await getEnvironment('bare');
  const namespace = await createNamespace(cluster, 'first');
  const name = kind === 'Issuer' ? 'ca' : namespace;
  const { secret, issuer } = issuerManifests(cfssl, kind === 'Issuer' ? { name, namespace } : { name });
  return {
    namespace,
    create: {
      Secret: () => cluster.create(secret),
      issuer: () => cluster.create(issuer),
      request: () => createApproved(cluster, namespace, ['request'], { kind, name }),
    },
  };
}

async function assertIssuedSoon(namespace: string): Promise<void> {
  const { cluster } = await getEnvironment('bare');
  const startMs = performance.now();
  await waitForAll(cluster, namespace, 1);
  const ms = Math.round(performance.now() - startMs);
  assert.ok(ms <= WITHIN_MS, `after ${ms} ms`);
}

describe('right from the first moment', () => {
  for (const kind of ['Issuer', 'ClusterIssuer'] as const) {
    for (const order of orders) {
      test(`${order.join(', ')} within 100 ms, of a kind ${kind}: the request is issued within 3 s`, async () => {
        // One after the other; and then, several times, all of them sent at once, in that order.
        const { namespace, create } = await prepare(kind);
        for (const what of order) await create[what]();
        await assertIssuedSoon(namespace);
        const rounds = Array.from({ length: ROUNDS }, async () => {
          const { namespace, create } = await prepare(kind);
          await Promise.all(order.map((what) => create[what]()));
          await assertIssuedSoon(namespace);
        });
        await Promise.all(rounds);
      });
    }
  }

  test('an issuer that is deleted and made again at once loses no request', async () => {
    const { cluster } = await getEnvironment('bare');
    const { namespace, create } = await prepare('Issuer');
    await create.Secret();
    for (let round = 0; round < ROUNDS; round++) {
      await create.issuer();
      await createApproved(cluster, namespace, [`early-${round}`]);
      await cluster.client.delete(ISSUERS, { namespace, name: 'ca' });
      await createApproved(cluster, namespace, [`late-${round}`]);
    }
    await create.issuer();
    await waitForAll(cluster, namespace, 2 * ROUNDS);
  });
});
