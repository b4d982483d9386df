/**
 * The chart installed in a cluster, and the issuer run as its Deployment says. Test files share the cluster; each begins by
 * saying what values it wants.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { stringify } from 'yaml';
import { type ControlPlane, startMultirootca } from '../../tools/servers/index.ts';
import { startChartCluster } from './chart-cluster.ts';
import { CHART, CRDS_CHART, helm, RELEASE_NAMESPACE } from './helm.ts';
import { type IssuerPod, startIssuerPod } from './issuer-pod.ts';
import { type IssuerScene, openScene } from './issuer-scene.ts';
import { type AuditRecord, type GrantedRight, readAuditLog, readGrantedRights } from './rbac.ts';

const ACCOUNT = { namespace: RELEASE_NAMESPACE, name: 'controller-manager' };
/** Who the issuer is to the API server. */
export const USER = `system:serviceaccount:${ACCOUNT.namespace}:${ACCOUNT.name}`;
const DEPLOYMENT = { namespace: RELEASE_NAMESPACE, name: 'cfssl-issuer' };
const HERE = `--namespace=${RELEASE_NAMESPACE}`;

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());

export interface Stage {
  readonly controlPlane: ControlPlane;
  readonly scene: IssuerScene;
  /** Upgrades the release to these values and those that the stage needs. The issuer is to be started anew. */
  readonly configure: (values: object) => Promise<void>;
  /** What the issuer has asked of the API server so far. */
  readonly readAudit: () => readonly AuditRecord[];
  /** What the chart grants to it. */
  readonly readRights: () => Promise<readonly GrantedRight[]>;
}

let staged: Promise<Stage> | undefined;

export function getStage(): Promise<Stage> {
  return (staged ??= setUp());
}

async function setUp(): Promise<Stage> {
  const { auditFile, apiServerArguments } = prepareAudit();
  const { controlPlane } = cleanup.use(await startChartCluster({ apiServerArguments }));
  const cfssl = cleanup.use(await startMultirootca());
  const configure = async (values: object): Promise<void> => {
    await stopIssuer();
    // Trust in CFSSL comes by file and environment.
    const all = { ...values, overrideCA: { secretName: 'cfssl-ca' } };
    const sets = Object.entries(all).map(([key, value]) => `--set-json=${key}=${JSON.stringify(value)}`);
    await helm(['upgrade', '--install', 'cfssl-issuer', CHART, HERE, ...sets], controlPlane);
  };
  await helm(['install', 'cfssl-issuer-crds', CRDS_CHART, HERE], controlPlane);
  await configure({});
  const scene = cleanup.use(await openScene(controlPlane, cfssl));
  const metadata = { name: 'cfssl-ca', namespace: RELEASE_NAMESPACE };
  await scene.cluster.create({ apiVersion: 'v1', kind: 'Secret', metadata, stringData: { 'ca.pem': cfssl.caPem } });
  cleanup.defer(stopIssuer);
  const readRights = (): Promise<readonly GrantedRight[]> => readGrantedRights(scene.cluster, ACCOUNT);
  return { controlPlane, scene, configure, readAudit: () => readAuditLog(auditFile), readRights };
}

/** Has the API server write down what the issuer asks for, as soon as it is answered. */
function prepareAudit(): { readonly auditFile: string; readonly apiServerArguments: readonly string[] } {
  const folder = mkdtempSync(join(tmpdir(), 'audit-'));
  cleanup.defer(() => rmSync(folder, { recursive: true }));
  const [policy, auditFile] = [join(folder, 'policy.yaml'), join(folder, 'audit.log')];
  const rules = [{ level: 'Metadata', users: [USER] }, { level: 'None' }];
  const omitStages = ['RequestReceived'];
  writeFileSync(policy, stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages, rules }));
  return { auditFile, apiServerArguments: [`--audit-policy-file=${policy}`, `--audit-log-path=${auditFile}`] };
}

/** The one that runs. */
let running: IssuerPod | undefined;

/** Starts the issuer, in place of the one that runs. */
export async function startIssuer(options?: { readonly probe: '/healthz' }): Promise<IssuerPod> {
  const { controlPlane, scene } = await getStage();
  await stopIssuer();
  running = await startIssuerPod({ access: controlPlane, cluster: scene.cluster }, DEPLOYMENT, options);
  return running;
}

export async function stopIssuer(): Promise<void> {
  const stopping = running;
  running = undefined;
  await stopping?.stop();
}

/** The issuer that runs, or a new one. */
export async function ensureIssuer(): Promise<IssuerPod> {
  return running ?? (await startIssuer());
}
