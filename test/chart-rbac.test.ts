/**
 * The rights that the chart grants are exactly those that the issuer needs. It runs as its Deployment says, with a token of
 * its ServiceAccount. What it asks of the API server, by the audit log, is what it was granted; and with any one right
 * taken away, something that a user would notice does not work.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { isNotFound, LEASES } from '../src/kubernetes/index.ts';
import { ensureIssuer, getStage, type Stage, startIssuer, stopIssuer, USER } from './support/chart-stage.ts';
import { RELEASE_NAMESPACE } from './support/helm.ts';
import {
  type Act,
  check,
  checkLate,
  type Effect,
  notice,
  sign,
  signKubernetes,
  signKubernetesLate,
  signLate,
  tell,
  tellAgain,
} from './support/issuer-effects.ts';
import type { IssuerPod } from './support/issuer-pod.ts';
import { readMetric } from './support/metrics.ts';
import { formatRight, type GrantedRight, isUseOf, without } from './support/rbac.ts';

const LEASE = { namespace: RELEASE_NAMESPACE, name: '51059ce8.wikimedia.org' };
const KINDS = ['Issuer', 'ClusterIssuer'] as const;
const GROUP = 'cfssl-issuer.wikimedia.org';

/** One that leads, and has checked the issuers that requests are made of. */
async function getIssuer(): Promise<IssuerPod> {
  const { scene } = await getStage();
  const issuer = await ensureIssuer();
  for (const kind of KINDS) await scene.waitForIssuer(kind, scene.issuers[kind]);
  return issuer;
}

/** What is done without the right, and with it again. */
type Check = (right: GrantedRight) => Promise<void>;

/** How the program says what it was refused. */
function complaintOf({ verb, group, resource }: GrantedRight): string {
  if (verb === 'sign') return 'Cannot apply status of certificatesigningrequests';
  const [plural = '', subresource] = resource.split('/');
  const kinds = group === '' ? plural : `${plural}.${group}`;
  return `Cannot ${subresource === 'status' ? 'apply status of' : verb} ${kinds}`;
}

/** The issuer runs; it is refused and says so, and what it was to do is not done until it has the right again. */
function whileRunning(act: Act, { complainsAgain = false } = {}): Check {
  return async (right) => {
    const { scene } = await getStage();
    const issuer = await getIssuer();
    const work = async (): Promise<Effect> => {
      const before = issuer.readLog().length;
      const effect = await act(scene);
      await issuer.waitForLog(complaintOf(right), complainsAgain ? issuer.readLog().length : before);
      assert.equal(await effect.isThere(), false);
      return effect;
    };
    const effect = await without(scene.cluster, right, { user: USER, work });
    await effect.waitFor();
  };
}

/** The issuer runs, meets a conflict, is refused, says so and counts it, and has to begin again. */
function beginsAgain(act: Act): Check {
  return async (right) => {
    const { scene } = await getStage();
    const issuer = await getIssuer();
    const countErrors = (): Promise<number> => readMetric(issuer, 'controller_runtime_reconcile_errors_total');
    const work = async (): Promise<Effect> => {
      const [before, errors] = [issuer.readLog().length, await countErrors()];
      const effect = await act(scene);
      await issuer.waitForLog(complaintOf(right), before);
      assert.ok((await countErrors()) > errors);
      return effect;
    };
    const effect = await without(scene.cluster, right, { user: USER, work });
    await effect.waitFor();
  };
}

/** The issuer starts, cannot become the leader, and does nothing. */
const neverLeads: Check = async (right) => {
  const { scene } = await getStage();
  await stopIssuer();
  const effect = await sign('Issuer')(scene);
  await startWithout(right, async (_, issuer) => {
    await issuer.waitForLog(complaintOf(right));
    assert.equal(await effect.isThere(), false);
    return effect;
  });
};

/** The issuer starts; it is refused and says so, and what it was to do is not done until it has the right again. */
function fromTheStart(act: Act): Check {
  return async (right) => {
    await startWithout(right, async ({ scene }, issuer) => {
      await issuer.waitForLog(complaintOf(right));
      const effect = await act(scene);
      await issuer.waitForLog(complaintOf(right), issuer.readLog().length);
      assert.equal(await effect.isThere(), false);
      return effect;
    });
  };
}

/** The issuer starts, and is not called ready until it has the right. */
const neverReady: Check = async (right) => {
  const isReady = async (issuer: IssuerPod): Promise<boolean> => (await fetch(`${issuer.healthUrl}/readyz`)).ok;
  await startWithout(right, async (_, issuer) => {
    await issuer.waitForLog(complaintOf(right));
    assert.equal(await isReady(issuer), false);
    return {
      isThere: () => isReady(issuer),
      waitFor: () => issuer.waitForLog('Store is filled', issuer.readLog().length),
    };
  });
};

/** The issuer starts, says what it would need for Kubernetes' requests, and leaves them alone; all else works. */
const leavesKubernetesAlone: Check = async (right) => {
  const { scene } = await getStage();
  await stopIssuer();
  const work = async (): Promise<void> => {
    const issuer = await startIssuer();
    await issuer.waitForLog(`"missing":["${formatRight(right)}"]`);
    const [kubernetes, ours] = [await signKubernetes('ClusterIssuer')(scene), await sign('ClusterIssuer')(scene)];
    await ours.waitFor();
    assert.equal(await kubernetes.isThere(), false);
  };
  await without(scene.cluster, right, { user: USER, work });
};

async function startWithout(
  right: GrantedRight,
  look: (stage: Stage, issuer: IssuerPod) => Promise<Effect>,
): Promise<void> {
  const stage = await getStage();
  await stopIssuer();
  const work = async (): Promise<Effect> => await look(stage, await startIssuer({ probe: '/healthz' }));
  const effect = await without(stage.scene.cluster, right, { user: USER, work });
  await effect.waitFor();
}

/** No Lease can be made, so nobody leads. */
const createLease: Check = async (right) => {
  await removeLease();
  await neverLeads(right);
};

async function removeLease(): Promise<void> {
  const { scene } = await getStage();
  await stopIssuer();
  await scene.cluster.client.delete(LEASES, LEASE).catch((error: unknown) => {
    if (!isNotFound(error)) throw error; // It was not made yet.
  });
}

/** Told when the process stops. */
const patchEvents: Check = async (right) => {
  const { scene } = await getStage();
  const tellAndStop = async (): Promise<boolean> => {
    await getIssuer();
    const effect = await tellAgain(scene);
    await stopIssuer();
    return await effect.isThere();
  };
  assert.equal(await without(scene.cluster, right, { user: USER, work: tellAndStop }), false);
  assert.equal(await tellAndStop(), true);
};

const CSRS = 'certificatesigningrequests.certificates.k8s.io';
const REQUESTS = 'certificaterequests.cert-manager.io';

/** Every right of the chart. Those that need no start come first. */
const CHECKS: Readonly<Record<string, Check>> = {
  [`get ${REQUESTS}`]: beginsAgain(signLate('Issuer')),
  [`patch ${REQUESTS}/status`]: whileRunning(sign('Issuer')),
  [`get issuers.${GROUP}`]: beginsAgain(checkLate('Issuer')),
  [`get clusterissuers.${GROUP}`]: beginsAgain(checkLate('ClusterIssuer')),
  [`patch issuers.${GROUP}/status`]: whileRunning(check('Issuer')),
  [`patch clusterissuers.${GROUP}/status`]: whileRunning(check('ClusterIssuer')),
  'create events.events.k8s.io': whileRunning(tell),
  'get secrets': whileRunning(check('Issuer')),
  'get configmaps': whileRunning(check('Issuer')),
  'watch secrets': whileRunning(notice('Secret'), { complainsAgain: true }),
  'watch configmaps': whileRunning(notice('ConfigMap'), { complainsAgain: true }),
  [`get ${CSRS}`]: beginsAgain(signKubernetesLate('ClusterIssuer')),
  [`patch ${CSRS}/status`]: whileRunning(signKubernetes('ClusterIssuer')),
  [`sign signers.certificates.k8s.io clusterissuers.${GROUP}/*`]: whileRunning(signKubernetes('ClusterIssuer')),
  [`sign signers.certificates.k8s.io issuers.${GROUP}/*`]: whileRunning(signKubernetes('Issuer')),
  'create subjectaccessreviews.authorization.k8s.io': whileRunning(signKubernetes('Issuer')),
  'patch events.events.k8s.io': patchEvents,
  [`list ${REQUESTS}`]: neverReady,
  [`list issuers.${GROUP}`]: neverReady,
  [`list clusterissuers.${GROUP}`]: neverReady,
  [`watch ${REQUESTS}`]: fromTheStart(sign('Issuer')),
  [`watch issuers.${GROUP}`]: fromTheStart(check('Issuer')),
  [`watch clusterissuers.${GROUP}`]: fromTheStart(check('ClusterIssuer')),
  [`list ${CSRS}`]: leavesKubernetesAlone,
  [`watch ${CSRS}`]: leavesKubernetesAlone,
  [`get leases.coordination.k8s.io ${LEASE.name}`]: neverLeads,
  [`update leases.coordination.k8s.io ${LEASE.name}`]: neverLeads,
  'create leases.coordination.k8s.io': createLease,
};

/** Asked by the API server itself when a status is written, so that no request of ours is about it. */
const isAskedInside = ({ verb }: GrantedRight): boolean => verb === 'sign';

describe('The rights of the chart', () => {
  before(async () => (await getStage()).configure({}));

  test('suffice for all that the issuer does, and each is used', async () => {
    const { scene, readAudit, readRights } = await getStage();
    await removeLease();
    const from = readAudit().length;
    await getIssuer();
    for (const kind of KINDS) {
      for (const act of [checkLate(kind), signLate(kind), signKubernetesLate(kind)]) await (await act(scene)).waitFor();
    }
    await tellAgain(scene);
    await stopIssuer();

    const log = readAudit().slice(from);
    const refused = log.filter(({ responseStatus }) => responseStatus.code === 403).map(({ requestURI }) => requestURI);
    assert.deepEqual(refused, [], 'something is needed that is not granted');
    const granted = await readRights();
    const unused = granted.filter((right) => !isAskedInside(right) && !log.some((request) => isUseOf(right, request)));
    assert.deepEqual(unused.map(formatRight), [], 'something is granted that is not needed');
    // What everybody may do is not granted by the chart.
    const others = log.filter((request) => !granted.some((right) => isUseOf(right, request)));
    assert.deepEqual([...new Set(others.map(({ objectRef }) => objectRef.resource))], ['selfsubjectaccessreviews']);
  });

  test('are each taken away below', async () => {
    const granted = await (await getStage()).readRights();
    assert.deepEqual(granted.map(formatRight).toSorted(), Object.keys(CHECKS).toSorted());
  });

  for (const [name, withoutIt] of Object.entries(CHECKS)) {
    test(`are needed: ${name}`, async () => {
      const granted = await (await getStage()).readRights();
      const right = granted.find((one) => formatRight(one) === name);
      assert.ok(right !== undefined);
      await withoutIt(right);
    });
  }
});
