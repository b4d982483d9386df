/**
 * Whatever kept an issuer from signing, the requests that waited for it are all signed within 3 s of the repair: what
 * its spec names is watched, not looked at from time to time. (For a CFSSL that comes back see recovery.test.ts.)
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { isReady, type Manifest, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { createTestCa } from '../tools/servers/index.ts';
import { createApproved, numbered, waitForAll } from './support/approved-requests.ts';
import type { CfsslProxy } from './support/cfssl-proxy.ts';
import {
  type ClientCertificates,
  clientSecret,
  createClientCertificates,
  startMutualTlsProxy,
} from './support/client-certificates.ts';
import { createNamespace, getEnvironment, issuerManifests, readyOf } from './support/environment.ts';

const WAITING = 5;
const WITHIN_MS = 3_000;
const PEM = 'ca.crt';

let clients: ClientCertificates;
let mutual: CfsslProxy;
let rootPem: string;

before(async () => {
  const { cfssl } = await getEnvironment('bare');
  rootPem = cfssl.rootPem;
  clients = await createClientCertificates();
  mutual = await startMutualTlsProxy(cfssl, clients);
});
after(() => mutual.close());

interface Cause {
  readonly cause: string;
  /** Why the issuer is not ready before. */
  readonly reason: string;
  readonly kind?: 'Issuer' | 'ClusterIssuer';
  readonly spec?: () => object;
  /** What is there before and lacks or has something wrong; for the auth Secret `undefined` means that it is missing. */
  readonly broken: (namespace: string) => Manifest | undefined;
  /** What mends it: created where there was nothing, else put in its place. */
  readonly mended: (namespace: string, original: { readonly secret: Manifest; readonly issuer: Manifest }) => Manifest;
}

const configMap = (namespace: string, pem: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace, name: 'roots' },
  data: { [PEM]: pem },
});
const rootsSecret = (namespace: string, pem: string): Manifest => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { namespace, name: 'roots' },
  stringData: { [PEM]: pem },
});
const authSecret = (secret: Manifest, key: string): Manifest => ({ ...secret, stringData: { key } });
const unknownPem = (await createTestCa()).root.certificatePem;

const fromConfigMap = { configMapRef: { name: 'roots', key: PEM } };
const fromSecret = { secretRef: { name: 'roots', key: PEM } };
const mutualSpec = (): object => ({
  url: mutual.url,
  tls: { ca: { pem: rootPem }, clientCertificateSecretName: 'client' },
});
const nothing = (): undefined => undefined;

const causes: readonly Cause[] = [
  {
    cause: 'the Secret with the key is created',
    reason: 'SecretNotFound',
    broken: nothing,
    mended: (_, { secret }) => secret,
  },
  {
    cause: 'the Secret with the key of a ClusterIssuer is created',
    reason: 'SecretNotFound',
    kind: 'ClusterIssuer',
    broken: nothing,
    mended: (_, { secret }) => secret,
  },
  {
    cause: 'a wrong key is mended',
    reason: 'AuthenticationFailed',
    broken: (namespace) => authSecret(secretOf(namespace), '00'),
    mended: (_, { secret }) => secret,
  },
  {
    cause: 'a key that is none is mended',
    reason: 'InvalidSecret',
    broken: (namespace) => authSecret(secretOf(namespace), 'none'),
    mended: (_, { secret }) => secret,
  },
  {
    cause: 'the ConfigMap of spec.tls.ca is created',
    reason: 'ConfigMapNotFound',
    spec: () => ({ tls: { ca: fromConfigMap } }),
    broken: nothing,
    mended: (namespace) => configMap(namespace, rootPem),
  },
  {
    cause: 'the ConfigMap of spec.tls.ca, with an unknown CA, is mended',
    reason: 'TLSFailed',
    spec: () => ({ tls: { ca: fromConfigMap } }),
    broken: (namespace) => configMap(namespace, unknownPem),
    mended: (namespace) => configMap(namespace, rootPem),
  },
  {
    cause: 'the Secret of spec.tls.ca is created',
    reason: 'SecretNotFound',
    spec: () => ({ tls: { ca: fromSecret } }),
    broken: nothing,
    mended: (namespace) => rootsSecret(namespace, rootPem),
  },
  {
    cause: 'the Secret of spec.chain is created',
    reason: 'SecretNotFound',
    spec: () => ({ chain: fromSecret }),
    broken: nothing,
    mended: (namespace) => rootsSecret(namespace, rootPem),
  },
  {
    cause: 'the Secret of spec.chain, with rubbish, is mended',
    reason: 'InvalidSecret',
    spec: () => ({ chain: fromSecret }),
    broken: (namespace) => rootsSecret(namespace, 'rubbish'),
    mended: (namespace) => rootsSecret(namespace, rootPem),
  },
  {
    cause: 'the ConfigMap of spec.chain, with rubbish, is mended',
    reason: 'InvalidConfigMap',
    spec: () => ({ chain: fromConfigMap }),
    broken: (namespace) => configMap(namespace, 'rubbish'),
    mended: (namespace) => configMap(namespace, rootPem),
  },
  {
    cause: 'the Secret with the client certificate is created',
    reason: 'SecretNotFound',
    spec: mutualSpec,
    broken: nothing,
    mended: (namespace) => clientSecret(namespace, 'client', clients.right),
  },
  {
    cause: 'a client certificate that has expired is mended',
    reason: 'TLSFailed',
    spec: mutualSpec,
    broken: (namespace) => clientSecret(namespace, 'client', clients.expired),
    mended: (namespace) => clientSecret(namespace, 'client', clients.right),
  },
  {
    cause: 'a client certificate with the key of another is mended',
    reason: 'TLSFailed',
    spec: mutualSpec,
    broken: (namespace) => clientSecret(namespace, 'client', clients.withAnotherKey),
    mended: (namespace) => clientSecret(namespace, 'client', clients.right),
  },
  {
    cause: 'a wrong spec is mended',
    reason: 'UnknownLabel',
    spec: () => ({ label: 'nobody' }),
    broken: nothing,
    mended: (_, { issuer }) => ({ ...issuer, spec: { ...(issuer['spec'] as object), label: 'intermediate2' } }),
  },
];

function secretOf(namespace: string): Manifest {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name: 'ca-key' } };
}

interface Waiting {
  readonly namespace: string;
  readonly issuer: Manifest;
  readonly repair: Manifest;
  /** Whether what is mended is there already. */
  readonly isPresent: boolean;
}

/** An issuer that is not ready for that reason, and requests that say so. */
async function setUp({ reason, kind = 'Issuer', spec, broken, mended }: Cause): Promise<Waiting> {
  const { cluster, cfssl } = await getEnvironment('bare');
  const namespace = await createNamespace(cluster, 'mended');
  const name = kind === 'Issuer' ? 'ca' : namespace;
  const where = kind === 'Issuer' ? { name, namespace } : { name };
  const { secret, issuer } = issuerManifests(cfssl, { ...where, spec: spec?.() ?? {} });
  const repair = mended(namespace, { secret, issuer });
  const present = broken(namespace);
  if (!isSame(secret, repair)) await cluster.create(secret);
  if (present !== undefined) await cluster.create(present);
  await cluster.create(issuer);
  await createApproved(cluster, namespace, numbered(WAITING), { kind, name });
  for (const request of numbered(WAITING)) {
    await cluster.waitFor<CertificateRequest>(
      { resource: CERTIFICATE_REQUESTS, namespace, name: request },
      (found) => readyOf(found)?.message?.includes(`"${reason}"`) === true,
    );
  }
  return { namespace, issuer, repair, isPresent: present !== undefined || isSame(issuer, repair) };
}

function isSame(a: Manifest, b: Manifest): boolean {
  return a.kind === b.kind && a.metadata.name === b.metadata.name;
}

describe(`${WAITING} requests that wait for an issuer are signed within 3 s when`, () => {
  // All of them first: the longer an issuer has not been ready, the less often it is looked at without a cause.
  let waiting: readonly Waiting[];
  before(async () => {
    waiting = await Promise.all(causes.map((cause) => setUp(cause)));
  });

  for (const [at, { cause }] of causes.entries()) {
    test(cause, async () => {
      const { cluster } = await getEnvironment('bare');
      const { namespace, issuer, repair, isPresent } = waiting[at] ?? assert.fail();
      const startMs = performance.now();
      if (isPresent) await cluster.client.mergePatch(resourceOf(repair), repair.metadata, repair);
      else await cluster.create(repair);
      const requests = await waitForAll(cluster, namespace, WAITING);
      const ms = Math.round(performance.now() - startMs);
      assert.ok(ms <= WITHIN_MS, `after ${ms} ms`);
      for (const { status } of requests) assert.equal(status?.failureTime, undefined);
      const issuerAt = { resource: resourceOf(issuer), ...issuer.metadata };
      await cluster.waitFor<ObjectWithConditions>(issuerAt, (found) => isReady(found));
    });
  }
});
