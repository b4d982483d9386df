/** A cluster as the Go program leaves it: its CRDs, users' objects, and everything in the states that it leaves them in. */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import {
  CERTIFICATE_REQUESTS,
  type CertificateRequest,
  CLUSTER_ISSUERS,
  ISSUERS,
  type Issuer,
  SECRETS,
  type Secret,
} from '../../src/api/index.ts';
import type { KubernetesObject } from '../../src/kubernetes/index.ts';
import { parseCsr } from '../../src/x509/index.ts';
import {
  isReady,
  judge,
  type Manifest,
  type ObjectWithConditions,
  openCluster,
  resourceOf,
} from '../../tools/cluster.ts';
import {
  installCertManagerCrds,
  startCertManager,
  startControlPlane,
  startMultirootca,
} from '../../tools/servers/index.ts';
import { startCfsslProxy } from '../support/cfssl-proxy.ts';
import { kubectl } from '../support/config-maps.ts';
import { createRequest } from '../support/environment.ts';
import { GoProgram } from './go-program.ts';

export const ITS_CRDS = join(import.meta.dirname, 'original-crds.yaml');
export const CERTIFICATES = resourceOf({ apiVersion: 'cert-manager.io/v1', kind: 'Certificate' });

const SETTLED_WITHIN_MS = 30_000;
const POLL_MS = 50;

export type OldWorld = Awaited<ReturnType<typeof startOldWorld>>;

/** A cluster where the Go program has worked for a while and still holds the lease. */
export async function startOldWorld(cleanup: AsyncDisposableStack) {
  const [controlPlane, cfssl] = await Promise.all([startControlPlane(), startMultirootca()]);
  cleanup.use(controlPlane);
  cleanup.use(cfssl);
  const proxy = cleanup.use(await startCfsslProxy(cfssl));
  const cluster = openCluster(controlPlane);
  cleanup.defer(() => cluster.close());
  await installCertManagerCrds(controlPlane);
  await kubectl(controlPlane, 'apply', '-f', ITS_CRDS);
  await kubectl(controlPlane, 'wait', '--for=condition=Established', '-f', ITS_CRDS);

  const text = readFileSync(join(import.meta.dirname, 'stored-objects.yaml'), 'utf8')
    .replaceAll(/\bCFSSL\b/g, proxy.url)
    .replaceAll(/\bHOST\b/g, new URL(proxy.url).host)
    .replaceAll(/\bKEY\b/g, Buffer.from(cfssl.authKeys.server).toString('base64'));
  const manifests = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  for (const manifest of manifests) await cluster.create(manifest);

  const program = new GoProgram({ cluster, controlPlane, cfssl });
  await program.lead();
  cleanup.defer(() => program.stop());
  for (const issuer of await listIssuers(cluster.client)) {
    const { name } = issuer.metadata;
    if (name === 'unreachable') {
      const cause =
        'Post "https://dead-end.invalid:8888//api/v1/cfssl/info": dial tcp: lookup dead-end.invalid: no such host';
      await program.reportIssuer(issuer, 'False', `Temporary error. Retrying: healthcheck failed: ${cause}`);
    } else if (name !== 'never-seen') await program.reportIssuer(issuer, 'True');
  }
  const old = { controlPlane, cfssl, proxy, cluster, program, manifests };
  await makeRequests(old);
  cleanup.use(await startCertManager({ access: controlPlane }));
  for (const [name, namespace, issuerRef, policy] of [
    ['web', 'team-a', { kind: 'Issuer', name: 'issuer-sample' }, { label: 'intermediate2', profile: 'server-short' }],
    [
      'mesh',
      'team-b',
      { kind: 'ClusterIssuer', name: 'discovery' },
      { label: 'intermediate2', profile: 'server', bundle: true },
    ],
  ] as const) {
    await createCertificate(old, { name, namespace }, issuerRef);
    await program.issue(await requestOf(old, { name, namespace }), policy);
    await cluster.waitFor<ObjectWithConditions>({ resource: CERTIFICATES, namespace, name }, isSettled);
  }
  // In the middle of it at the moment of the switch.
  await createCertificate(old, { name: 'late', namespace: 'team-b' }, { kind: 'Issuer', name: 'slash' });
  await program.reportRequest(
    await requestOf(old, { name: 'late', namespace: 'team-b' }),
    'Pending',
    'Initialising Ready condition',
  );
  return old;
}

type Place = { readonly namespace: string; readonly name: string };
type SpecifiedRequest = CertificateRequest & { readonly spec: { readonly request: string } };

/** Requests in every state that the Go program leaves them in. */
async function makeRequests({ cluster, program }: Pick<OldWorld, 'cluster' | 'program'>): Promise<void> {
  const make = async (name: string, issuerRef: object, ...judgements: ('Approved' | 'Denied')[]) => {
    const at = { namespace: 'team-b', name };
    await createRequest(cluster, { ...at, issuerRef, csr: { dnsNames: [`${name}.example`] } });
    await judge(cluster, at, judgements);
    return await cluster.client.get<SpecifiedRequest>(CERTIFICATE_REQUESTS, at);
  };
  const slash = { kind: 'Issuer', name: 'slash' };
  await program.issue(await make('issued', slash, 'Approved'), { label: 'intermediate1', profile: '' });
  const bundle = { label: 'intermediate2', profile: 'server', bundle: true } as const;
  await program.issue(await make('issued-bundle', { kind: 'ClusterIssuer', name: 'discovery' }, 'Approved'), bundle);
  await program.reportRequest(
    await make('failed', { kind: 'Certifier', name: 'slash' }, 'Approved'),
    'Failed',
    'Unrecognised kind. Ignoring: error interpreting issuerRef: no kind "Certifier" is registered',
  );
  await program.reportRequest(await make('denied-and-marked', slash, 'Denied'), 'Denied', 'Denied by policy');
  await make('denied', slash, 'Denied');
  await program.reportRequest(await make('initialising', slash, 'Approved'), 'Pending', 'Initialising Ready condition');
  await program.reportRequest(
    await make('retried', { kind: 'Issuer', name: 'bare-host' }, 'Approved'),
    'Pending',
    'Temporary error. Retrying: issuer is not ready',
  );
  await make('never-seen', { kind: 'Issuer', name: 'never-seen' }, 'Approved');
  await program.reportRequest(
    await make('waiting', { kind: 'Issuer', name: 'unreachable' }, 'Approved'),
    'Pending',
    'Temporary error. Retrying: issuer is not ready',
  );
}

async function createCertificate({ cluster }: Pick<OldWorld, 'cluster'>, at: Place, issuerRef: object): Promise<void> {
  await cluster.create({
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: at,
    spec: {
      secretName: `${at.name}-tls`,
      dnsNames: [`${at.name}.example`],
      issuerRef: { group: 'cfssl-issuer.wikimedia.org', ...issuerRef },
    },
  });
}

/**
 * cert-manager's request for a Certificate, once it is approved and is the one that stays: until its caches have caught
 * up, cert-manager may make a second key for a new Certificate, and then the request anew.
 */
async function requestOf(
  { cluster }: Pick<OldWorld, 'cluster'>,
  { namespace, name }: Place,
): Promise<SpecifiedRequest> {
  for (const endMs = performance.now() + SETTLED_WITHIN_MS; ; await sleep(POLL_MS)) {
    const request = await cluster.waitFor<SpecifiedRequest>(
      { resource: CERTIFICATE_REQUESTS, namespace, name: `${name}-1` },
      ({ status }) => status?.conditions?.some(({ type }) => type === 'Approved') === true,
    );
    const certificate = await cluster.client.get<ObjectWithConditions>(CERTIFICATES, { namespace, name });
    const { items } = await cluster.client.list<Secret & KubernetesObject>(SECRETS, { namespace });
    const keys = items.filter(
      ({ metadata }) =>
        metadata.labels?.['cert-manager.io/next-private-key'] === 'true' && metadata.name.startsWith(`${name}-`),
    );
    const [key] = keys;
    const isTheOne = key !== undefined && key.metadata.name === certificate.status?.['nextPrivateKeySecretName'];
    if (keys.length === 1 && isTheOne && isFor(request, key)) return request;
    if (performance.now() > endMs)
      throw new Error(`cert-manager does not settle for a request of ${namespace}/${name}`);
  }
}

/** Whether the CSR was made with the key in that Secret. */
function isFor({ spec }: SpecifiedRequest, { data }: Secret): boolean {
  const pem = Buffer.from(data?.['tls.key'] ?? '', 'base64').toString();
  const spki = createPublicKey(pem).export({ format: 'der', type: 'spki' });
  return spki.equals(parseCsr(Buffer.from(spec.request, 'base64').toString()).spkiDer);
}

/** Ready, and cert-manager has written all that belongs to it. */
export function isSettled(certificate: ObjectWithConditions): boolean {
  const isIssuing = certificate.status?.conditions?.some(({ type }) => type === 'Issuing') === true;
  return isReady(certificate) && !isIssuing && certificate.status?.['nextPrivateKeySecretName'] === undefined;
}

export async function listIssuers(client: OldWorld['cluster']['client']): Promise<readonly Issuer[]> {
  const lists = [await client.list<Issuer>(ISSUERS, {}), await client.list<Issuer>(CLUSTER_ISSUERS, {})];
  return lists.flatMap(({ items }) => items);
}
