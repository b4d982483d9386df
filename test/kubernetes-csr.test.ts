/** Kubernetes' CertificateSigningRequests against the real API server, approved and denied as users do it. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { CERTIFICATE_SIGNING_REQUESTS, type CertificateSigningRequest } from '../src/api/index.ts';
import { isReady, type Manifest, type ObjectWithConditions, openCluster, resourceOf } from '../tools/cluster.ts';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import type { KubernetesAccess } from '../tools/servers/index.ts';
import { verifyRequest } from '../tools/verify.ts';
import { kubectl } from './support/config-maps.ts';
import { type CsrOptions, createCsr } from './support/csr.ts';
import {
  createNamespace,
  createRequest,
  getEnvironment,
  getServers,
  issuerManifests,
  judgeRequest,
  type Servers,
  waitForReason,
} from './support/environment.ts';
import { waitForEvent } from './support/events.ts';

const DOCUMENT = join(import.meta.dirname, '../docs/kubernetes-csr.md');

interface Asked extends CsrOptions {
  readonly signerName: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly expirationSeconds?: number;
  /** Whose request it is; an administrator's by default. */
  readonly by?: KubernetesAccess;
}

/** A team with a namespace of its own, where requests of Kubernetes have none: names begin with it. */
async function setUp(servers: Promise<Servers>, prefix: string) {
  const { controlPlane, cluster, cfssl } = await servers;
  const namespace = await createNamespace(cluster, prefix);
  const at = (name: string) => ({ resource: CERTIFICATE_SIGNING_REQUESTS, name: `${namespace}-${name}` });
  const judge = async (verb: 'approve' | 'deny', name: string): Promise<void> => {
    await kubectl(controlPlane, 'certificate', verb, at(name).name);
  };
  return {
    controlPlane,
    cluster,
    cfssl,
    namespace,
    approve: (name: string) => judge('approve', name),
    deny: (name: string) => judge('deny', name),
    /** Creates an issuer, without a namespace a ClusterIssuer, and waits until it is ready. */
    createIssuer: async (options: { name: string; namespace?: string; spec?: object }): Promise<void> => {
      const { secret, issuer } = issuerManifests(cfssl, options);
      await cluster.create(secret);
      await cluster.create(issuer);
      const found = { resource: resourceOf(issuer), ...issuer.metadata };
      await cluster.waitFor<ObjectWithConditions>(found, (object) => isReady(object));
    },
    request: async (name: string, { signerName, annotations = {}, expirationSeconds, by, ...csr }: Asked) => {
      await using requester = new AsyncDisposableStack();
      const mine = requester.adopt(openCluster(by ?? controlPlane), (opened) => opened.close());
      const request = Buffer.from(await createCsr(csr)).toString('base64');
      const usages = ['digital signature', 'server auth'];
      await mine.client.create(CERTIFICATE_SIGNING_REQUESTS, {
        metadata: { name: at(name).name, annotations },
        spec: { request, signerName, usages, ...(expirationSeconds === undefined ? {} : { expirationSeconds }) },
      });
    },
    remove: (name: string) => cluster.client.delete(CERTIFICATE_SIGNING_REQUESTS, at(name)),
    read: (name: string) => cluster.client.get<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS, at(name)),
    waitForCertificate: (name: string) =>
      cluster.waitFor<CertificateSigningRequest>(at(name), ({ status }) => status?.certificate !== undefined),
    /** Waits for the condition Failed and gives its message. */
    waitForFailure: async (name: string): Promise<string | undefined> => {
      const failure = ({ status }: CertificateSigningRequest) =>
        status?.conditions?.find(({ type }) => type === 'Failed');
      const request = await cluster.waitFor<CertificateSigningRequest>(
        at(name),
        (found) => failure(found) !== undefined,
      );
      assert.equal(failure(request)?.status, 'True');
      assert.equal(failure(request)?.reason, 'Failed');
      // Kubernetes deletes old requests by that time, which the API server has added.
      assert.ok('lastUpdateTime' in (failure(request) ?? {}));
      assert.deepEqual(typesOf(request), ['Approved', 'Failed']);
      assert.equal(request.status?.certificate, undefined);
      return failure(request)?.message;
    },
    /** Waits for an event about the request, and gives all that was told about it so far. */
    waitForEvent: async (name: string, reason: string): Promise<string[]> => {
      const about = { namespace: 'default', kind: 'CertificateSigningRequest', name: at(name).name };
      return (await waitForEvent(cluster, about, reason)).map((event) => `${event.reason}: ${event.note}`);
    },
  };
}

function typesOf({ status }: CertificateSigningRequest): string[] {
  return (status?.conditions ?? []).map(({ type }) => type).sort();
}

/** The manifest of that kind in the document. */
function documentedManifest(kind: string): Manifest & { readonly rules: readonly object[] } {
  const blocks = [...readFileSync(DOCUMENT, 'utf8').matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text = '']) => text);
  const found = blocks.map((text) => parse(text) as Manifest).find((manifest) => manifest.kind === kind);
  assert.ok(found !== undefined, `${DOCUMENT} shows no ${kind}`);
  return found as Manifest & { readonly rules: readonly object[] };
}

const rbac = (plural: string, kind: string, namespaced: boolean) =>
  ({ group: 'rbac.authorization.k8s.io', version: 'v1', plural, kind, namespaced }) as const;
const CLUSTER_ROLES = rbac('clusterroles', 'ClusterRole', false);
const CLUSTER_ROLE_BINDINGS = rbac('clusterrolebindings', 'ClusterRoleBinding', false);
const ROLES = rbac('roles', 'Role', true);
const ROLE_BINDINGS = rbac('rolebindings', 'RoleBinding', true);

const subjectsOf = (user: string) => [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }];
const roleRef = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });

/** Permits a user what the rules say, everywhere. */
async function permit({ cluster }: Servers, user: string, name: string, rules: readonly object[]): Promise<void> {
  await cluster.client.create(CLUSTER_ROLES, { metadata: { name }, rules });
  const binding = { metadata: { name }, roleRef: roleRef('ClusterRole', name), subjects: subjectsOf(user) };
  await cluster.client.create(CLUSTER_ROLE_BINDINGS, binding);
}

/** Permits a user to create requests, and nothing else. */
async function newRequester(servers: Servers, user: string): Promise<KubernetesAccess> {
  const apiGroups = ['certificates.k8s.io'];
  await permit(servers, user, `request-${user}`, [
    { apiGroups, resources: ['certificatesigningrequests'], verbs: ['create'] },
  ]);
  return await servers.controlPlane.accessFor({ user });
}

/** Permits a user what the documented Role does, in the namespace. */
async function permitReference({ cluster }: Servers, user: string, namespace: string): Promise<void> {
  const { metadata, rules } = documentedManifest('Role');
  const { name } = metadata;
  await cluster.client.create(ROLES, { metadata: { name, namespace }, rules });
  const binding = { metadata: { name, namespace }, roleRef: roleRef('Role', name), subjects: subjectsOf(user) };
  await cluster.client.create(ROLE_BINDINGS, binding);
}

describe('a CertificateSigningRequest', () => {
  const bare = () => setUp(getEnvironment('bare'), 'csr');

  test('of a ClusterIssuer is left alone until it is approved, and then signed', async () => {
    const environment = await bare();
    const { namespace, request, approve, read, waitForCertificate, waitForEvent, cfssl } = environment;
    await environment.createIssuer({ name: `${namespace}.ca` });
    await request('web', {
      signerName: `clusterissuers.cfssl-issuer.wikimedia.org/${namespace}.ca`,
      dnsNames: ['web.example', 'www.example'],
    });
    assert.deepEqual(await waitForEvent('web', 'WaitingForApproval'), [
      'WaitingForApproval: Not signing CertificateSigningRequest until it is Approved',
    ]);
    assert.deepEqual((await read('web')).status ?? {}, {});

    await approve('web');
    const signed = await waitForCertificate('web');
    assert.deepEqual(typesOf(signed), ['Approved']);
    const pem = Buffer.from(signed.status?.certificate ?? '', 'base64').toString('utf8');
    const block = '-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n';
    assert.match(pem, new RegExp(`^(${block}){2}$`)); // the leaf and one intermediate, and nothing else
    assert.equal(new X509Certificate(pem).subjectAltName, 'DNS:web.example, DNS:www.example');
    verifyRequest({ status: { certificate: signed.status?.certificate ?? '' } }, { ...cfssl, intermediatePems: [] });
    const told = await waitForEvent('web', 'Issued');
    assert.ok(told.includes('Issued: Succeeded signing the CertificateSigningRequest'), told.join('\n'));
  });

  test('of an Issuer is signed for those alone who may reference it', async () => {
    const environment = await bare();
    const { namespace, request, approve, waitForFailure, waitForCertificate } = environment;
    const servers = await getEnvironment('bare');
    await environment.createIssuer({ name: 'ca', namespace });
    const user = `alice-${namespace}`;
    const by = await newRequester(servers, user);
    const signerName = `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca`;

    await request('stranger', { signerName, by });
    await approve('stranger');
    assert.equal(
      await waitForFailure('stranger'),
      `CertificateSigningRequest has failed permanently: User "${user}" lacks the verb "reference" on signers.cert-manager.io "ca" in namespace "${namespace}"`,
    );

    await permitReference(servers, user, namespace);
    await request('member', { signerName, by });
    await approve('member');
    await waitForCertificate('member');
  });

  test('waits for its issuer without a status, and is signed as soon as that is ready', async () => {
    const environment = await bare();
    const { namespace, request, approve, read, waitForCertificate, waitForEvent } = environment;
    await request('early', { signerName: `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca` });
    await approve('early');
    await waitForEvent('early', 'WaitingForIssuerExist');
    assert.deepEqual(typesOf(await read('early')), ['Approved']);
    await environment.createIssuer({ name: 'ca', namespace });
    const readyMs = performance.now();
    await waitForCertificate('early');
    assert.ok(performance.now() - readyMs < 3_000, 'the request is signed within 3 s');
  });

  test('that is denied, or of a foreign signer, is left alone', async () => {
    const environment = await bare();
    const { namespace, request, approve, deny, read, waitForCertificate } = environment;
    await environment.createIssuer({ name: 'ca', namespace });
    const signerName = `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca`;
    await request('denied', { signerName });
    await deny('denied');
    const signers = ['issuers.cert-manager.io/x.ca', 'cfssl-issuer.wikimedia.org/ca', 'kubernetes.io/kubelet-serving'];
    for (const [i, foreign] of signers.entries()) {
      await request(`foreign-${i}`, { signerName: foreign });
      await approve(`foreign-${i}`);
    }
    await request('sentinel', { signerName });
    await approve('sentinel');
    await waitForCertificate('sentinel');
    const denied = await read('denied');
    assert.deepEqual([typesOf(denied), denied.status?.certificate], [['Denied'], undefined]);
    for (const i of signers.keys()) {
      const foreign = await read(`foreign-${i}`);
      assert.deepEqual([typesOf(foreign), foreign.status?.certificate], [['Approved'], undefined]);
    }
  });

  test('that CFSSL refuses has failed, with its words', async () => {
    const environment = await bare();
    const { namespace, request, approve, waitForFailure } = environment;
    await environment.createIssuer({ name: 'ca', namespace, spec: { profile: 'whitelist' } });
    await request('bad', {
      signerName: `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca`,
      dnsNames: ['not-on-the-list.example'],
    });
    await approve('bad');
    const failed = /^CertificateSigningRequest has failed permanently: Cannot sign with .* profile "whitelist"/;
    assert.match((await waitForFailure('bad')) ?? '', failed);
  });

  test('is held to its annotations and its expirationSeconds', async () => {
    const environment = await bare();
    const { namespace, request, approve, waitForFailure, waitForEvent } = environment;
    await environment.createIssuer({ name: 'ca', namespace });
    const signerName = `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca`;
    const annotation = (key: string, value: string) => ({ [`experimental.cert-manager.io/request-${key}`]: value });
    await request('short', { signerName, annotations: annotation('duration', '1m') });
    await request('ca', { signerName, annotations: annotation('is-ca', 'true') });
    await request('ten-minutes', { signerName, expirationSeconds: 600 });
    for (const name of ['short', 'ca', 'ten-minutes']) await approve(name);
    const failed = 'CertificateSigningRequest has failed permanently:';
    assert.equal(await waitForFailure('short'), `${failed} The shortest duration is 10m, the request asks for 1m`);
    const unsaid = 'An annotation asks for a CA and the CSR does not; make the CSR with the basic constraint CA:TRUE';
    assert.equal(await waitForFailure('ca'), `${failed} ${unsaid}`);
    const told = await waitForEvent('ten-minutes', 'UnexpectedCertificate');
    const longer = 'UnexpectedCertificate: The certificate is valid for more time than the request asks for';
    assert.ok(told.includes(longer), told.join('\n'));
  });
});

/** What the process' log has above `info`, but for issuers that other tests have left in the cluster. */
function exceptionsOf(process: IssuerProcess, namespace: string): Record<string, unknown>[] {
  return process
    .readLog()
    .filter(({ level, issuer }) => level !== 'info' && (issuer === undefined || issuer === `Issuer/${namespace}/ca`));
}

describe('the permission to sign CertificateSigningRequests', () => {
  const USER = 'cfssl-issuer-before';
  /** What an issuer needs that signs for cert-manager alone. */
  const EARLIER_RULES = [
    {
      apiGroups: ['cfssl-issuer.wikimedia.org'],
      resources: ['issuers', 'clusterissuers'],
      verbs: ['get', 'list', 'watch'],
    },
    {
      apiGroups: ['cfssl-issuer.wikimedia.org'],
      resources: ['issuers/status', 'clusterissuers/status'],
      verbs: ['patch'],
    },
    { apiGroups: ['cert-manager.io'], resources: ['certificaterequests'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['cert-manager.io'], resources: ['certificaterequests/status'], verbs: ['patch'] },
    { apiGroups: [''], resources: ['secrets', 'configmaps'], verbs: ['get', 'list', 'watch'] },
    { apiGroups: ['events.k8s.io'], resources: ['events'], verbs: ['create', 'patch'] },
  ];

  test('is not needed for anything else, and what is documented suffices', async () => {
    const servers = await getServers();
    const environment = await setUp(getServers(), 'csr-permission');
    const { cluster, namespace, request, approve, read, waitForCertificate, waitForFailure } = environment;
    await permit(servers, USER, 'cfssl-issuer-before', EARLIER_RULES);
    const access = await servers.controlPlane.accessFor({ user: USER });
    const signerName = `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca`;
    await request('web', { signerName });
    await approve('web');

    await using before = new AsyncDisposableStack();
    const issuer = before.use(await startIssuer({ access }));
    await environment.createIssuer({ name: 'ca', namespace });
    await createRequest(cluster, { namespace, name: 'request', issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(cluster, { namespace, name: 'request' }, 'Approved');
    await waitForReason(cluster, { namespace, name: 'request' }, 'Issued');
    assert.deepEqual(
      exceptionsOf(issuer, namespace).map(({ msg, missing }) => ({ msg, missing })),
      [
        {
          msg: 'Permission is missing, going on without',
          missing: [
            'get certificatesigningrequests.certificates.k8s.io',
            'list certificatesigningrequests.certificates.k8s.io',
            'watch certificatesigningrequests.certificates.k8s.io',
            'patch certificatesigningrequests.certificates.k8s.io/status',
            'create subjectaccessreviews.authorization.k8s.io',
          ],
        },
      ],
    );
    assert.deepEqual(typesOf(await read('web')), ['Approved']);
    await before.disposeAsync();

    await permit(servers, USER, 'cfssl-issuer-kubernetes-csr', documentedManifest('ClusterRole').rules);
    await using after = new AsyncDisposableStack();
    const permitted = after.use(await startIssuer({ access }));
    await waitForCertificate('web');
    const by = await newRequester(servers, 'mallory');
    await request('stranger', { signerName, by });
    await approve('stranger');
    await waitForFailure('stranger');
    assert.deepEqual(exceptionsOf(permitted, namespace), []);
  });

  test('is not used where the flag says so', async () => {
    const environment = await setUp(getServers(), 'csr-off');
    const { controlPlane, cluster, namespace, request, approve, read, remove } = environment;
    await request('web', { signerName: `issuers.cfssl-issuer.wikimedia.org/${namespace}.ca` });
    await approve('web');
    await using stack = new AsyncDisposableStack();
    stack.defer(() => remove('web')); // or the next issuer in this cluster would sign it
    const flags = ['--disable-kubernetes-csr-controller'];
    const issuer = stack.use(await startIssuer({ access: controlPlane, flags }));
    await environment.createIssuer({ name: 'ca', namespace });
    await createRequest(cluster, { namespace, name: 'request', issuerRef: { kind: 'Issuer', name: 'ca' } });
    await judgeRequest(cluster, { namespace, name: 'request' }, 'Approved');
    await waitForReason(cluster, { namespace, name: 'request' }, 'Issued');
    assert.deepEqual(typesOf(await read('web')), ['Approved']);
    assert.ok(!issuer.readLog().some(({ resource }) => resource === 'certificatesigningrequests'));
    assert.deepEqual(exceptionsOf(issuer, namespace), []);
  });
});
