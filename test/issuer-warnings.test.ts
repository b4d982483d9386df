/** What keeps no issuer from signing and is told once all the same, on servers that cannot do what they are asked for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startCfsslServe } from '../tools/servers/index.ts';
import { verifyRequest } from '../tools/verify.ts';
import {
  createNamespace,
  createReadyIssuer,
  createRequest,
  type Environment,
  getEnvironment,
  issuerManifests,
  judgeRequest,
  waitForReason,
} from './support/environment.ts';
import { waitForEvent } from './support/events.ts';

/** Waits for an event about the Issuer `ca` and gives how often it was told. */
async function countWarnings({ cluster }: Environment, namespace: string, reason: string): Promise<number> {
  const told = await waitForEvent(cluster, { namespace, kind: 'Issuer', name: 'ca' }, reason);
  return told.filter((event) => event.reason === reason).reduce((sum, { series }) => sum + (series?.count ?? 1), 0);
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
    assert.equal(await countWarnings(environment, namespace, 'BundleUnavailable'), 1);
  });
});

describe('cfssl serve', () => {
  test('signs, and says once that it does not tell an unknown profile', async () => {
    const environment = await getEnvironment('bare');
    const { cluster } = environment;
    await using serve = await startCfsslServe();
    const namespace = await createNamespace(cluster, 'serve');
    await createReadyIssuer(cluster, serve, { namespace, spec: { profile: 'no-such-profile' } });
    assert.equal(await countWarnings(environment, namespace, 'ProfileNotProven'), 1);
    const at = { namespace, name: 'request' };
    await createRequest(cluster, { ...at, issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(cluster, at, 'Approved');
    await waitForReason(cluster, at, 'Issued');
  });
});
