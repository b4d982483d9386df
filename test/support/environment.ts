/**
 * The real servers that the tests share: started when the first test asks, stopped when the last has ended. All test
 * files run in one process, so that a control plane is started once and not once a file. Each test works in a
 * namespace of its own.
 */
import { after } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest, type Condition } from '../../src/api/index.ts';
import {
  type At,
  type Cluster,
  isReady,
  judge,
  type Manifest,
  type ObjectWithConditions,
  openCluster,
  resourceOf,
} from '../../tools/cluster.ts';
import { type IssuerProcess, type IssuerProcessOptions, startIssuer } from '../../tools/issuer-process.ts';
import { applyOurCrds } from '../../tools/our-crds.ts';
import {
  type Cfssl,
  type ControlPlane,
  type ControlPlaneOptions,
  installCertManagerCrds,
  startCertManager,
  startControlPlane,
  startMultirootca,
} from '../../tools/servers/index.ts';
import { type CsrOptions, createCsr } from './csr.ts';

export interface Servers {
  readonly controlPlane: ControlPlane;
  readonly cfssl: Cfssl;
  readonly cluster: Cluster;
}

export interface Environment extends Servers {
  readonly issuer: IssuerProcess;
}

export const CLUSTER_RESOURCE_NAMESPACE = 'cfssl-issuer-system';
const GROUP = 'cfssl-issuer.wikimedia.org';

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());

const started = new Map<string, Promise<Environment>>();

/**
 * `cert-manager`: its controllers run, and approve every request. `bare`: nobody but our issuer and the test writes,
 * so a test decides about approval.
 */
export function getEnvironment(kind: 'cert-manager' | 'bare'): Promise<Environment> {
  let environment = started.get(kind);
  if (environment === undefined) {
    environment = startEnvironment(kind);
    started.set(kind, environment);
  }
  return environment;
}

const serversByName = new Map<string, Promise<Servers>>();

/**
 * A cluster for tests that start and stop issuers themselves; tests that leave much behind, or need another control
 * plane, have one of their own.
 */
export function getServers(name = 'shared', options?: ControlPlaneOptions): Promise<Servers> {
  let servers = serversByName.get(name);
  if (servers === undefined) {
    servers = startServers('bare', options);
    serversByName.set(name, servers);
  }
  return servers;
}

/** Servers of the test's own with an issuer that is started as it says. */
export async function startEnvironment(
  kind: 'cert-manager' | 'bare',
  start: (options: IssuerProcessOptions) => Promise<IssuerProcess> = startIssuer,
): Promise<Environment> {
  const servers = await startServers(kind);
  const issuer = cleanup.use(await start({ access: servers.controlPlane }));
  return { ...servers, issuer };
}

async function startServers(kind: 'cert-manager' | 'bare', options?: ControlPlaneOptions): Promise<Servers> {
  const [controlPlane, cfssl] = await Promise.all([startControlPlane(options), startMultirootca()]);
  cleanup.use(controlPlane);
  cleanup.use(cfssl);
  if (kind === 'cert-manager') cleanup.use(await startCertManager({ access: controlPlane }));
  else await installCertManagerCrds(controlPlane);
  await applyOurCrds(controlPlane);
  const cluster = openCluster(controlPlane);
  cleanup.defer(() => cluster.close());
  await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: CLUSTER_RESOURCE_NAMESPACE } });
  return { controlPlane, cfssl, cluster };
}

let namespaces = 0;

/** A new namespace; its name tells the test apart in logs. */
export async function createNamespace(cluster: Cluster, prefix: string): Promise<string> {
  namespaces += 1;
  const name = `${prefix}-${namespaces}`;
  await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  return name;
}

/** The Secret and the issuer for a CFSSL; an Issuer without a namespace given is a ClusterIssuer. */
export function issuerManifests(
  cfssl: Cfssl,
  { name, namespace, spec = {} }: { readonly name: string; readonly namespace?: string; readonly spec?: object },
): { readonly secret: Manifest; readonly issuer: Manifest } {
  const where = namespace === undefined ? {} : { namespace };
  return {
    secret: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `${name}-key`, namespace: namespace ?? CLUSTER_RESOURCE_NAMESPACE },
      stringData: { key: cfssl.authKeys.server },
    },
    issuer: {
      apiVersion: `${GROUP}/v1alpha1`,
      kind: namespace === undefined ? 'ClusterIssuer' : 'Issuer',
      metadata: { name, ...where },
      spec: {
        url: cfssl.url,
        authSecretName: `${name}-key`,
        label: 'intermediate1',
        profile: 'server',
        tls: { ca: { pem: cfssl.caPem } },
        chain: { pem: cfssl.rootPem },
        ...spec,
      },
    },
  };
}

/** Creates the Issuer `ca` of that spec with its Secret, and waits until it is Ready; gives where it is. */
export async function createReadyIssuer(
  cluster: Cluster,
  cfssl: Cfssl,
  { namespace, spec }: { readonly namespace: string; readonly spec?: object },
): Promise<At> {
  const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, ...(spec && { spec }) });
  await cluster.create(secret);
  await cluster.create(issuer);
  const at = { resource: resourceOf(issuer), namespace, name: 'ca' };
  await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found));
  return at;
}

/** Creates a CertificateRequest, without any condition. */
export async function createRequest(
  cluster: Cluster,
  {
    namespace,
    name,
    issuerRef,
    csr,
    spec = {},
  }: { namespace: string; name: string; issuerRef: object; csr?: CsrOptions; spec?: object },
): Promise<void> {
  await cluster.create({
    apiVersion: 'cert-manager.io/v1',
    kind: 'CertificateRequest',
    metadata: { namespace, name },
    spec: {
      request: Buffer.from(await createCsr(csr)).toString('base64'),
      issuerRef: { group: GROUP, ...issuerRef },
      ...spec,
    },
  });
}

/** Decides about a request as an approver does. */
export async function judgeRequest(
  cluster: Cluster,
  at: { readonly namespace: string; readonly name: string },
  ...types: readonly ('Approved' | 'Denied')[]
): Promise<void> {
  await judge(cluster, at, types);
}

/** Waits for a Ready condition with that reason, and gives the request. */
export function waitForReason(
  cluster: Cluster,
  at: { readonly namespace: string; readonly name: string },
  reason: string,
): Promise<CertificateRequest> {
  return cluster.waitFor<CertificateRequest>(
    { resource: CERTIFICATE_REQUESTS, ...at },
    (request) => readyOf(request)?.reason === reason,
  );
}

export function readyOf(object: {
  readonly status?: { readonly conditions?: readonly Condition[] };
}): Condition | undefined {
  return object.status?.conditions?.find(({ type }) => type === 'Ready');
}
