/**
 * With cert-manager's own controllers: what was there first does not matter, a certificate is issued anew for the same
 * key, and a CA is replaced without a moment in which clients do not trust.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest, ISSUERS } from '../src/api/index.ts';
import type { KubernetesObject } from '../src/kubernetes/index.ts';
import { formatTime } from '../src/platform/index.ts';
import { isReady, type Manifest, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { startMultirootca } from '../tools/servers/index.ts';
import { startCfsslProxy } from './support/cfssl-proxy.ts';
import { createNamespace, type Environment, getEnvironment, issuerManifests, readyOf } from './support/environment.ts';

const CERTIFICATES = resourceOf({ apiVersion: 'cert-manager.io/v1', kind: 'Certificate' });
const SECRETS = resourceOf({ apiVersion: 'v1', kind: 'Secret' });

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());

interface Issued {
  readonly leaf: X509Certificate;
  /** Subject and fingerprint of each certificate in `ca.crt`. */
  readonly cas: readonly string[];
}

function certificate(namespace: string, spec: object = {}): Manifest {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: { name: 'web', namespace },
    spec: {
      secretName: 'web-tls',
      dnsNames: ['web.example.com'],
      privateKey: { rotationPolicy: 'Never' },
      issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: 'ca' },
      ...spec,
    },
  };
}

/** Waits for the Certificate's revision, and gives what its Secret holds then. */
async function waitForRevision({ cluster }: Environment, namespace: string, revision: number): Promise<Issued> {
  const found = await cluster.waitFor<ObjectWithConditions>(
    { resource: CERTIFICATES, namespace, name: 'web' },
    (object) => isReady(object) && object.status?.['revision'] === revision,
  );
  assert.equal(found.status?.['failedIssuanceAttempts'], undefined);
  const { data } = await cluster.client.get<KubernetesObject & { readonly data: Record<string, string> }>(SECRETS, {
    namespace,
    name: 'web-tls',
  });
  const [leaf] = readPem(data['tls.crt']);
  return { leaf: leaf ?? assert.fail('no certificate'), cas: readPem(data['ca.crt']).map(identify) };
}

/** What a Secret's field or a request's status holds. */
function readPem(base64 = ''): X509Certificate[] {
  const text = Buffer.from(base64, 'base64').toString();
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((pem) => new X509Certificate(pem));
}

const identify = ({ subject, fingerprint256 }: X509Certificate): string => `${subject} ${fingerprint256}`;
const identifyPem = (pem: string): string => identify(new X509Certificate(pem));

async function listRequests({ cluster }: Environment, namespace: string): Promise<readonly CertificateRequest[]> {
  return (await cluster.client.list<CertificateRequest>(CERTIFICATE_REQUESTS, { namespace })).items;
}

/** What `cmctl renew` does. */
async function renew({ cluster }: Environment, namespace: string): Promise<void> {
  const conditions = [
    {
      type: 'Issuing',
      status: 'True',
      reason: 'ManuallyTriggered',
      message: 'Certificate re-issuance manually triggered',
      lastTransitionTime: formatTime(Date.now()),
    },
  ];
  const metadata = { namespace, name: 'web' };
  await cluster.client.applyStatus(CERTIFICATES, { metadata, status: { conditions } }, { fieldManager: 'cmctl' });
}

describe('right from the first moment, with cert-manager', () => {
  const orders = [
    ['Certificate', 'Secret', 'Issuer'],
    ['Certificate', 'Issuer', 'Secret'],
    ['Issuer', 'Certificate', 'Secret'],
    ['Secret', 'Certificate', 'Issuer'],
  ] as const;
  for (const order of orders) {
    test(`${order.join(', ')}: the Certificate is ready by its first request`, async () => {
      const environment = await getEnvironment('cert-manager');
      const { cluster, cfssl } = environment;
      const namespace = await createNamespace(cluster, 'early');
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
      const manifests = { Certificate: certificate(namespace), Secret: secret, Issuer: issuer };
      for (const what of order) await cluster.create(manifests[what]);
      await waitForRevision(environment, namespace, 1);
      assert.equal((await listRequests(environment, namespace)).length, 1);
    });
  }
});

describe("cert-manager's re-issuance with the same key is Issued, with a new certificate", () => {
  const ways: readonly (readonly [string, (environment: Environment, namespace: string) => Promise<void>])[] = [
    [
      'when the names change',
      async ({ cluster }, namespace) => {
        const spec = { dnsNames: ['web.example.com', 'www.example.com'] };
        await cluster.client.mergePatch(CERTIFICATES, { namespace, name: 'web' }, { spec });
      },
    ],
    ['as cmctl renew has it', renew],
  ];
  for (const [name, reissue] of ways) {
    test(name, async () => {
      const environment = await getEnvironment('cert-manager');
      const { cluster, cfssl } = environment;
      const namespace = await createNamespace(cluster, 'again');
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
      for (const manifest of [secret, issuer, certificate(namespace, { revisionHistoryLimit: 5 })]) {
        await cluster.create(manifest);
      }
      const first = await waitForRevision(environment, namespace, 1);
      await reissue(environment, namespace);
      const second = await waitForRevision(environment, namespace, 2);
      assert.notEqual(second.leaf.serialNumber, first.leaf.serialNumber);
      assert.ok(second.leaf.publicKey.equals(first.leaf.publicKey), 'the key is the same');
      const requests = await listRequests(environment, namespace);
      assert.deepEqual(
        requests.map((request) => readyOf(request)?.reason),
        ['Issued', 'Issued'],
      );
    });
  }
});

describe('CA rotation', () => {
  for (const [name, hasChain] of [
    ['both roots of spec.chain reach ca.crt, before and after', true],
    ['without spec.chain, ca.crt never disappears', false],
  ] as const) {
    test(name, async () => {
      const environment = await getEnvironment('cert-manager');
      const { cluster, cfssl: before } = environment;
      const next = cleanup.use(await startMultirootca({ authKeys: before.authKeys }));
      const proxy = cleanup.use(await startCfsslProxy(before));
      const namespace = await createNamespace(cluster, 'rotated');
      const { secret, issuer } = issuerManifests(before, {
        name: 'ca',
        namespace,
        spec: {
          url: proxy.url,
          chain: hasChain ? { pem: before.rootPem + next.rootPem } : undefined,
        },
      });
      for (const manifest of [secret, issuer, certificate(namespace, { revisionHistoryLimit: 5 })]) {
        await cluster.create(manifest);
      }
      const steps = [
        { server: before, revision: 1 },
        { server: before, revision: 2 },
        { server: next, revision: 3 },
        { server: next, revision: 4 },
      ];
      for (const { server, revision } of steps) {
        proxy.server = server;
        if (revision > 1) await renew(environment, namespace);
        const { leaf, cas } = await waitForRevision(environment, namespace, revision);
        const signer = new X509Certificate(server.intermediatePems.intermediate1);
        assert.ok(leaf.verify(signer.publicKey), `revision ${revision} is signed by the CA of that time`);
        const roots = [before.rootPem, next.rootPem].map(identifyPem).sort();
        assert.deepEqual([...cas].sort(), hasChain ? roots : [identify(signer)], `revision ${revision}`);
      }
      for (const request of await listRequests(environment, namespace)) assert.notEqual(request.status?.ca, undefined);
      const found = await cluster.client.get<ObjectWithConditions>(ISSUERS, { namespace, name: 'ca' });
      assert.equal(isReady(found), true);
    });
  }
});
