/**
 * What happens around the issuer of an installed chart: a team creates issuers and requests, and CFSSL can be made to hold
 * its answers. Every name is used once, so that scenes can follow each other in one cluster.
 */
import { once } from 'node:events';
import {
  CERTIFICATE_REQUESTS,
  CERTIFICATE_SIGNING_REQUESTS,
  type CertificateSigningRequest,
} from '../../src/api/index.ts';
import type { KubernetesObject } from '../../src/kubernetes/index.ts';
import { type Cluster, isReady, type ObjectWithConditions, openCluster, resourceOf } from '../../tools/cluster.ts';
import type { Cfssl, ControlPlane } from '../../tools/servers/index.ts';
import { type CfsslProxy, startCfsslProxy } from './cfssl-proxy.ts';
import { kubectl } from './config-maps.ts';
import { createCsr } from './csr.ts';
import { createRequest, issuerManifests, judgeRequest, readyOf } from './environment.ts';
import { RELEASE_NAMESPACE } from './helm.ts';

export type IssuerKind = 'Issuer' | 'ClusterIssuer';

export const TEAM = 'team';

export interface IssuerScene extends AsyncDisposable {
  readonly cluster: Cluster;
  /** One of each kind, to make requests of. */
  readonly issuers: Readonly<Record<IssuerKind, string>>;
  /** Creates an issuer with a Secret and a ConfigMap of its own; gives its name. */
  readonly createIssuer: (kind: IssuerKind) => Promise<string>;
  readonly readIssuer: (kind: IssuerKind, name: string) => Promise<ObjectWithConditions>;
  /** Waits for a Ready condition of that status, and gives its reason. */
  readonly waitForIssuer: (kind: IssuerKind, name: string, status?: 'True' | 'False') => Promise<string | undefined>;
  /** Makes the Secret's key a wrong one, or the ConfigMap's certificates none. */
  readonly spoil: (kind: IssuerKind, name: string, what: 'Secret' | 'ConfigMap') => Promise<void>;
  readonly deleteSecret: (kind: IssuerKind, name: string) => Promise<void>;
  /** Writes the Secret again as it was. */
  readonly createSecret: (kind: IssuerKind, name: string) => Promise<void>;
  /** Creates a CertificateRequest that is approved; gives its name. */
  readonly request: (kind: IssuerKind, issuer: string) => Promise<string>;
  readonly isIssued: (request: string) => Promise<boolean>;
  readonly waitForIssued: (request: string) => Promise<void>;
  /** Creates a CertificateSigningRequest that is approved; gives its name. */
  readonly requestKubernetes: (kind: IssuerKind, issuer: string) => Promise<string>;
  readonly hasCertificate: (request: string) => Promise<boolean>;
  readonly waitForCertificate: (request: string) => Promise<void>;
  /** Holds CFSSL's answers back: `arrived` when a call has come in, and `release` lets all go on. */
  hold(of: 'signings' | 'all calls'): { readonly arrived: Promise<void>; readonly release: () => void };
  /** Changes an object, so that what the issuer has read of it is out of date. */
  readonly touch: (...object: readonly string[]) => Promise<void>;
  readonly touchIssuer: (kind: IssuerKind, name: string) => Promise<void>;
}

export async function openScene(controlPlane: ControlPlane, cfssl: Cfssl): Promise<IssuerScene> {
  await using undo = new AsyncDisposableStack();
  const cluster = undo.adopt(openCluster(controlPlane), (opened) => opened.close());
  const proxy: CfsslProxy = undo.use(await startCfsslProxy(cfssl));
  const cleanup = undo.move();
  let names = 0;
  const newName = (): string => `scene-${(names += 1)}`;

  const secretOf = (kind: IssuerKind, name: string) => ({
    namespace: kind === 'Issuer' ? TEAM : RELEASE_NAMESPACE,
    name: `${name}-key`,
  });
  const manifestsOf = (kind: IssuerKind, name: string) => {
    const chain = { configMapRef: { name: `${name}-roots`, key: 'ca.crt' } };
    const where = kind === 'Issuer' ? { namespace: TEAM } : {};
    const { secret, issuer } = issuerManifests(cfssl, {
      name,
      ...where,
      spec: { url: proxy.url, chain, tls: undefined },
    });
    return { secret: { ...secret, metadata: secretOf(kind, name) }, issuer };
  };
  const at = (kind: IssuerKind, name: string) => {
    const { issuer } = manifestsOf(kind, name);
    return { resource: resourceOf(issuer), ...issuer.metadata };
  };
  const isIssued = ({ status }: ObjectWithConditions): boolean => status?.['certificate'] !== undefined;
  const requestAt = (name: string) => ({ resource: CERTIFICATE_REQUESTS, namespace: TEAM, name });
  const signingRequestAt = (name: string) => ({ resource: CERTIFICATE_SIGNING_REQUESTS, name });

  const touch = async (...object: readonly string[]): Promise<void> => {
    await kubectl(controlPlane, 'annotate', ...object, `touched=${newName()}`);
  };

  const createIssuer = async (kind: IssuerKind): Promise<string> => {
    const name = newName();
    const { secret, issuer } = manifestsOf(kind, name);
    const metadata = { ...secret.metadata, name: `${name}-roots` };
    await cluster.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': cfssl.rootPem } });
    await cluster.create(secret);
    await cluster.create(issuer);
    return name;
  };

  return {
    cluster,
    issuers: { Issuer: await createIssuer('Issuer'), ClusterIssuer: await createIssuer('ClusterIssuer') },
    createIssuer,
    readIssuer: (kind, name) => cluster.client.get(at(kind, name).resource, at(kind, name)),
    waitForIssuer: async (kind, name, status = 'True') => {
      const found = await cluster.waitFor<ObjectWithConditions>(at(kind, name), (issuer) => isReady(issuer, status));
      return readyOf(found)?.reason;
    },
    spoil: async (kind, name, what) => {
      const { namespace, name: secret } = secretOf(kind, name);
      const object = what === 'Secret' ? secret : `${name}-roots`;
      const data = what === 'Secret' ? { key: Buffer.from('00'.repeat(16)).toString('base64') } : { 'ca.crt': 'none' };
      await cluster.client.mergePatch(
        resourceOf({ apiVersion: 'v1', kind: what }),
        { namespace, name: object },
        { data },
      );
    },
    deleteSecret: (kind, name) =>
      cluster.client.delete(resourceOf({ apiVersion: 'v1', kind: 'Secret' }), secretOf(kind, name)),
    createSecret: (kind, name) => cluster.create(manifestsOf(kind, name).secret),
    request: async (kind, issuer) => {
      const name = newName();
      await createRequest(cluster, { namespace: TEAM, name, issuerRef: { kind, name: issuer } });
      await judgeRequest(cluster, { namespace: TEAM, name }, 'Approved');
      return name;
    },
    isIssued: async (name) => isIssued(await cluster.client.get(CERTIFICATE_REQUESTS, requestAt(name))),
    waitForIssued: async (name) => {
      await cluster.waitFor<ObjectWithConditions>(requestAt(name), isIssued);
    },
    requestKubernetes: async (kind, issuer) => {
      const name = newName();
      const signer =
        kind === 'Issuer'
          ? `issuers.cfssl-issuer.wikimedia.org/${TEAM}.`
          : 'clusterissuers.cfssl-issuer.wikimedia.org/';
      const request = Buffer.from(await createCsr()).toString('base64');
      const spec = { request, signerName: `${signer}${issuer}`, usages: ['digital signature', 'server auth'] };
      await cluster.client.create(CERTIFICATE_SIGNING_REQUESTS, { metadata: { name }, spec });
      await kubectl(controlPlane, 'certificate', 'approve', name);
      return name;
    },
    hasCertificate: async (name) => {
      const found = await cluster.client.get<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS, { name });
      return found.status?.certificate !== undefined;
    },
    waitForCertificate: async (name) => {
      const isDone = ({ status }: CertificateSigningRequest): boolean => status?.certificate !== undefined;
      await cluster.waitFor<CertificateSigningRequest & KubernetesObject>(signingRequestAt(name), isDone);
    },
    hold: (of) => {
      const [arrived, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      proxy.fault = {
        of,
        make: async ({ response, forward }) => {
          arrived.resolve();
          await released.promise;
          const { status, contentType, body } = await forward();
          response.writeHead(status, { 'content-type': contentType }).end(body);
          await once(response, 'close');
        },
      };
      const release = (): void => {
        proxy.fault = undefined;
        released.resolve();
      };
      return { arrived: arrived.promise, release };
    },
    touch,
    touchIssuer: (kind, name) =>
      touch(`${kind.toLowerCase()}s.cfssl-issuer.wikimedia.org`, name, ...(kind === 'Issuer' ? [`-n=${TEAM}`] : [])),
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}
