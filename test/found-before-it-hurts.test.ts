/**
 * What an issuer has wrong shows on it within 2 s of its creation, before anybody asks it for a certificate: the first
 * thing that its Ready condition says is the reason, and what to do.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS } from '../src/api/index.ts';
import { type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { type Cfssl, createTestCa, startCfsslServe } from '../tools/servers/index.ts';
import {
  type ClientCertificates,
  clientSecret,
  createClientCertificates,
  startMutualTlsProxy,
} from './support/client-certificates.ts';
import { createNamespace, getEnvironment, issuerManifests, readyOf } from './support/environment.ts';

const WITHIN_MS = 2_000;

let clients: ClientCertificates;
/** Both demand a client certificate; the proxy stands in front of the environment's multirootca. */
let urls: Readonly<Record<'multirootca' | 'cfssl serve', string>>;
let serve: Cfssl;
const cleanup = new AsyncDisposableStack();

before(async () => {
  const { cfssl } = await getEnvironment('bare');
  clients = await createClientCertificates();
  const { certPem, keyPem } = clients.right;
  serve = await startCfsslServe({
    ca: cfssl.ca,
    authKeys: cfssl.authKeys,
    clients: { caPem: clients.caPem, clientCertificatePem: certPem, clientKeyPem: keyPem },
  });
  cleanup.use(serve);
  urls = { multirootca: cleanup.use(await startMutualTlsProxy(cfssl, clients)).url, 'cfssl serve': serve.url };
});
after(() => cleanup.disposeAsync());

interface Given {
  readonly server: keyof typeof urls;
  readonly spec?: object;
  readonly key?: string;
  /** Default: the right one. */
  readonly client?: keyof Omit<ClientCertificates, 'caPem'> | 'none';
}

/** Creates an Issuer; gives the first that its Ready condition says, as `status reason: message`, and how soon it did. */
async function createAndWait({ server, spec = {}, key, client = 'right' }: Given) {
  const { cluster, cfssl } = await getEnvironment('bare');
  const namespace = await createNamespace(cluster, 'found');
  const tls = {
    ca: { pem: cfssl.caPem },
    ...(client === 'none' ? {} : { clientCertificateSecretName: 'client' }),
  };
  const { secret, issuer } = issuerManifests(cfssl, {
    name: 'ca',
    namespace,
    spec: { url: urls[server], tls, ...spec },
  });
  await cluster.create(key === undefined ? secret : { ...secret, stringData: { key } });
  if (client !== 'none') await cluster.create(clientSecret(namespace, 'client', clients[client]));
  const startMs = performance.now();
  await cluster.create(issuer);
  const at = { resource: resourceOf(issuer), namespace, name: 'ca' };
  const found = await cluster.waitFor<ObjectWithConditions>(at, (object) => readyOf(object) !== undefined);
  const ms = Math.round(performance.now() - startMs);
  const { items } = await cluster.client.list(CERTIFICATE_REQUESTS, { namespace });
  assert.deepEqual(items, [], 'nobody has asked for a certificate');
  await cluster.client.delete(at.resource, at); // one that is not ready would be checked for ever
  const { status, reason, message } = readyOf(found) ?? {};
  return { said: `${status} ${reason}: ${message?.replaceAll(namespace, 'NAMESPACE')}`, ms };
}

const unknownPem = (await createTestCa()).root.certificatePem;
const wrong: readonly (readonly [what: string, given: Given, said: RegExp])[] = (
  ['multirootca', 'cfssl serve'] as const
).flatMap((server) => {
  const notTrusted = /^False TLSFailed: .*; check spec\.tls against the certificate of the server$/;
  const wrongKey = /^False AuthenticationFailed: .*; check the field "key" of Secret NAMESPACE\/ca-key$/;
  const unknownCa = { tls: { ca: { pem: unknownPem }, clientCertificateSecretName: 'client' } };
  return [
    ['a wrong key', { server, key: '00'.repeat(32) }, wrongKey],
    ['a wrong CA', { server, spec: unknownCa }, notTrusted],
    ['no client certificate', { server, client: 'none' }, notTrusted],
    ['a client certificate of another CA', { server, client: 'ofAnotherCa' }, notTrusted],
    ['a client certificate that has expired', { server, client: 'expired' }, notTrusted],
    [
      'a client certificate with the key of another',
      { server, client: 'withAnotherKey' },
      /^False TLSFailed: .*; mend the certificates that spec\.tls names$/,
    ],
  ] satisfies (readonly [string, Given, RegExp])[];
});

describe('found before it hurts: within 2 s of its creation, with no request present, an issuer tells', () => {
  for (const [what, given, said] of [
    ...wrong,
    [
      'a wrong label',
      { server: 'multirootca', spec: { label: 'nobody' } },
      /^False UnknownLabel: .*; check spec\.label \("nobody"\) against the labels of the server$/,
    ],
    [
      'a wrong profile',
      { server: 'multirootca', spec: { profile: 'nobody' } },
      /^False UnknownProfile: .*; check spec\.profile: the server has no profile "nobody" for label "intermediate1"$/,
    ],
  ] satisfies typeof wrong) {
    test(`${what}, to ${given.server}`, async () => {
      const found = await createAndWait(given);
      assert.match(found.said, said);
      assert.ok(found.ms <= WITHIN_MS, `after ${found.ms} ms`);
    });
  }

  for (const server of ['multirootca', 'cfssl serve'] as const) {
    test(`that nothing is wrong, to ${server}`, async () => {
      const found = await createAndWait({ server });
      assert.match(found.said, /^True Checked: /);
      assert.ok(found.ms <= WITHIN_MS, `after ${found.ms} ms`);
    });
  }
});
