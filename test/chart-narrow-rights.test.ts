/**
 * Less than the chart's usual rights: the Secrets and ConfigMaps that the values' issuers name and no others, and some
 * namespaces and nothing outside of them.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { ObjectWithConditions } from '../tools/cluster.ts';
import { getStage, startIssuer, stopIssuer, USER } from './support/chart-stage.ts';
import { RELEASE_NAMESPACE } from './support/helm.ts';
import { check, checkLate, sign, signLate, tellAgain } from './support/issuer-effects.ts';
import { TEAM } from './support/issuer-scene.ts';
import { type AuditRecord, formatRight, type GrantedRight, isUseOf, without } from './support/rbac.ts';

const isRefused = ({ responseStatus }: AuditRecord): boolean => responseStatus.code === 403;

/** The issuers of the stage as values, with what they name. */
async function issuersAsValues(): Promise<object> {
  const { scene } = await getStage();
  const entries = (['Issuer', 'ClusterIssuer'] as const).map(async (kind) => {
    const { spec } = (await scene.readIssuer(kind, scene.issuers[kind])) as ObjectWithConditions & { spec: object };
    return [`from-values-${kind.toLowerCase()}`, { kind, ...(kind === 'Issuer' ? { namespace: TEAM } : {}), ...spec }];
  });
  return Object.fromEntries(await Promise.all(entries)) as object;
}

describe('With rbac.secrets=named', () => {
  const names = { Issuer: 'from-values-issuer', ClusterIssuer: 'from-values-clusterissuer' } as const;

  before(async () => (await getStage()).configure({ rbac: { secrets: 'named' }, issuers: await issuersAsValues() }));

  test('the issuers of the values work, and only what they name is read', async () => {
    const { scene, readAudit, readRights } = await getStage();
    const from = readAudit().length;
    await startIssuer();
    for (const kind of ['Issuer', 'ClusterIssuer'] as const) await scene.waitForIssuer(kind, names[kind]);
    const log = readAudit().slice(from);
    assert.deepEqual(log.filter(isRefused), []);
    const reads = (await readRights()).filter(({ resource }) => ['secrets', 'configmaps'].includes(resource));
    assert.equal(reads.length, 8);
    for (const right of reads) {
      assert.ok(right.name !== undefined && right.role.namespace !== undefined, formatRight(right));
      assert.ok(
        log.some((request) => isUseOf(right, request)),
        formatRight(right),
      );
    }
  });

  test('another issuer, whose Secret may not be read, says so', async () => {
    const { scene } = await getStage();
    const { name } = await check('Issuer')(scene);
    assert.equal(await scene.waitForIssuer('Issuer', name, 'False'), 'AccessDenied');
  });

  for (const kind of ['secrets', 'configmaps']) {
    for (const namespace of [TEAM, RELEASE_NAMESPACE]) {
      const rightOf = async (verb: string): Promise<GrantedRight> => {
        const rights = await (await getStage()).readRights();
        const isWanted = ({ role, ...right }: GrantedRight): boolean =>
          right.verb === verb && right.resource === kind && role.namespace === namespace;
        return rights.find(isWanted) ?? assert.fail(`Nobody may ${verb} ${kind}`);
      };
      const issuer = namespace === TEAM ? 'Issuer' : 'ClusterIssuer';

      test(`${issuer}: without "get ${kind}" by name it is not ready`, async () => {
        const { scene } = await getStage();
        const right = await rightOf('get');
        await stopIssuer();
        await without(scene.cluster, right, {
          user: USER,
          work: async () => {
            await startIssuer();
            assert.equal(await scene.waitForIssuer(issuer, names[issuer], 'False'), 'AccessDenied');
          },
        });
        await scene.waitForIssuer(issuer, names[issuer]);
      });

      test(`${issuer}: without "watch ${kind}" by name it would not see a change`, async () => {
        const { scene } = await getStage();
        const right = await rightOf('watch');
        await stopIssuer();
        await without(scene.cluster, right, {
          user: USER,
          work: async () => (await startIssuer()).waitForLog(`Cannot watch ${kind} \\"${namespace}`),
        });
      });
    }
  }
});

describe('With rbac.namespaced', () => {
  before(async () => (await getStage()).configure({ rbac: { namespaced: true, namespaces: [TEAM] } }));

  test('an Issuer of the namespace works, with Roles alone, of which every right is used', async () => {
    const { scene, readAudit, readRights } = await getStage();
    const from = readAudit().length;
    const issuer = await startIssuer();
    await issuer.waitForLog('Serving some namespaces only');
    await scene.waitForIssuer('Issuer', scene.issuers.Issuer);
    for (const act of [checkLate('Issuer'), signLate('Issuer'), tellAgain]) await (await act(scene)).waitFor();
    await stopIssuer();

    const log = readAudit().slice(from);
    assert.deepEqual(log.filter(isRefused), []);
    const granted = await readRights();
    assert.ok(granted.every(({ role }) => role.namespace !== undefined));
    // The Lease is there already.
    const unused = granted.filter((right) => !log.some((request) => isUseOf(right, request))).map(formatRight);
    assert.deepEqual(unused, ['create leases.coordination.k8s.io']);
    assert.deepEqual(
      log.filter((request) => !granted.some((right) => isUseOf(right, request))),
      [],
    );
  });

  test('a ClusterIssuer and its requests are left alone', async () => {
    const { scene } = await getStage();
    await startIssuer();
    const [theirs, request, ours] = [
      await check('ClusterIssuer')(scene),
      await sign('ClusterIssuer')(scene),
      await sign('Issuer')(scene),
    ];
    await ours.waitFor();
    assert.equal(await theirs.isThere(), false);
    assert.equal(await request.isThere(), false);
    await stopIssuer();
  });
});
