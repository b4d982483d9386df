/**
 * config/ as kustomize users apply it: over the Go program's objects and back, with rights that suffice and are all used,
 * and with a throw-away CFSSL that the samples fit. Nodes there are none: the test mounts, starts and reports rollouts.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import { CERTIFICATE_SIGNING_REQUESTS, type CertificateSigningRequest } from '../src/api/index.ts';
import { LEASES, type Lease } from '../src/kubernetes/index.ts';
import { isReady, type Manifest, type ObjectWithConditions, openCluster, resourceOf } from '../tools/cluster.ts';
import { startIssuer } from '../tools/issuer-process.ts';
import { readSamples, SAMPLE_URL } from '../tools/samples.ts';
import { installCertManagerCrds, startControlPlane, startMultirootca } from '../tools/servers/index.ts';
import { withFreePort } from '../tools/servers/ports.ts';
import { verifyRequest } from '../tools/verify.ts';
import { kubectl } from './support/config-maps.ts';
import { createCsr } from './support/csr.ts';
import {
  createNamespace,
  createRequest,
  issuerManifests,
  judgeRequest,
  type Servers,
  waitForReason,
} from './support/environment.ts';
import { waitForEvent } from './support/events.ts';
import { startIssuerPod } from './support/issuer-pod.ts';
import { DEPLOYMENTS, type Deployment, playRollouts, startSimpleCfsslPod } from './support/pods.ts';
import { formatRight, type Rule, readAuditLog, rightFor, rightsOf } from './support/rbac.ts';

const ROOT = join(import.meta.dirname, '..');
const ORIGINAL = join(import.meta.dirname, 'migration/original-default.yaml');
const NAMESPACE = 'cfssl-issuer-system';
const MANAGER = { namespace: NAMESPACE, name: 'cfssl-issuer-controller-manager' };
const SIMPLE_CFSSL = { namespace: 'simple-cfssl', name: 'simple-cfssl' };
const ACCOUNT = `system:serviceaccount:${NAMESPACE}:${MANAGER.name}`;

/** What is needed though a run may come to its end without. */
const RARE_RIGHTS = new Set([
  ...['issuers', 'clusterissuers'].map((resource) => `get ${resource}.cfssl-issuer.wikimedia.org`), // after a conflict
  'get certificaterequests.cert-manager.io', // after a conflict
  'get certificatesigningrequests.certificates.k8s.io', // after a conflict
  'patch events.events.k8s.io', // of an event that happens again
  'sign signers.certificates.k8s.io', // asked by the API server itself, when the status is written
]);

interface Started extends Servers {
  readonly folder: string;
  readonly auditLog: string;
}

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());
let started: Promise<Started> | undefined;

/** A control plane that keeps a record of what the issuer's ServiceAccount does. */
function getStarted(): Promise<Started> {
  started ??= start();
  return started;
}

async function start(): Promise<Started> {
  const { path: folder } = cleanup.use(await mkdtempDisposable(join(tmpdir(), 'kustomize-')));
  const [policy, auditLog] = [join(folder, 'policy.yaml'), join(folder, 'audit.log')];
  const rules = [{ level: 'Metadata', users: [ACCOUNT], omitStages: ['RequestReceived'] }, { level: 'None' }];
  writeFileSync(policy, stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules }));
  const apiServerArguments = [`--audit-policy-file=${policy}`, `--audit-log-path=${auditLog}`];
  const [controlPlane, cfssl] = await Promise.all([startControlPlane({ apiServerArguments }), startMultirootca()]);
  cleanup.use(controlPlane);
  cleanup.use(cfssl);
  await installCertManagerCrds(controlPlane);
  const cluster = openCluster(controlPlane);
  cleanup.defer(() => cluster.close());
  return { controlPlane, cfssl, cluster, folder, auditLog };
}

/** Runs a target of the Makefile that works on the current cluster, while its Deployment rolls out. */
async function runTarget(
  { controlPlane, cluster }: Started,
  words: readonly string[],
  at: typeof MANAGER,
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const done = new AbortController();
  const rollouts = playRollouts(cluster, at, done.signal);
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, 'tools/deploy.ts'), ...words], {
      env: { ...process.env, KUBECONFIG: controlPlane.kubeconfig, ...env },
    });
    return stdout;
  } finally {
    done.abort(new Error('Done'));
    await rollouts;
  }
}

function readDeployment({ cluster }: Started, at: typeof MANAGER): Promise<Deployment> {
  return cluster.client.get<Deployment>(DEPLOYMENTS, at);
}

async function render(started: Started, folder: string): Promise<readonly Manifest[]> {
  const text = await kubectl(started.controlPlane, 'kustomize', join(ROOT, 'config', folder));
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}

/** In words, all that the rules of the issuer's roles grant; restrictions to names are left out. */
function rightsIn(manifests: readonly Manifest[]): Set<string> {
  const roles = ['cfssl-issuer-manager-role', 'cfssl-issuer-leader-election-role'];
  const rules = manifests
    .filter(({ kind, metadata }) => kind.endsWith('Role') && roles.includes(metadata.name))
    .flatMap((role) => role['rules'] as readonly Rule[]);
  return new Set(rightsOf(rules).map((right) => formatRight({ ...right, name: undefined })));
}

/** What the ServiceAccount did, in the same words. @throws AssertionError when it was refused anything */
function readUse(file: string): Set<string> {
  const done = readAuditLog(file).map((request) => {
    const right = formatRight({ ...rightFor(request), name: undefined });
    assert.notEqual(request.responseStatus.code, 403, `${right} was refused`);
    return right;
  });
  return new Set(done);
}

describe('config/default', () => {
  test('has the names of the Go program, and goes over its objects and back', async () => {
    const started = await getStarted();
    const { controlPlane } = started;
    const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
    const original = parseAllDocuments(readFileSync(ORIGINAL, 'utf8')).map((document) => document.toJS() as Manifest);
    const ours = (await render(started, 'default')).map(nameOf).filter((name) => !name.startsWith('CustomResource'));
    const isOfProxy = (name: string): boolean => /-(proxy|metrics-reader)/.test(name);
    assert.deepEqual(
      ours.sort(),
      original
        .map(nameOf)
        .filter((name) => !isOfProxy(name))
        .sort(),
    );

    await kubectl(controlPlane, 'apply', '-f', ORIGINAL);
    const before = await readDeployment(started, MANAGER);
    assert.match(
      await runTarget(started, ['deploy'], MANAGER, { IMG: 'registry.example:5000/team/cfssl-issuer:1.0.0' }),
      /deployment.apps\/cfssl-issuer-controller-manager configured/,
    );
    const after = await readDeployment(started, MANAGER);
    assert.equal(after.metadata.uid, before.metadata.uid, 'the same Deployment, not a new one');
    const { containers } = after.spec.template.spec;
    assert.deepEqual(
      containers.map(({ name, image, command, args, env }) => ({ name, image, command, args, env })),
      [
        {
          name: 'manager',
          image: 'registry.example:5000/team/cfssl-issuer:1.0.0',
          command: undefined,
          args: ['--enable-leader-election'],
          env: [{ name: 'SSL_CERT_DIR', value: '/ca' }],
        },
      ],
    );
    const again = await kubectl(controlPlane, 'apply', '-k', join(ROOT, 'dist/kustomize/default'));
    assert.doesNotMatch(again, /configured|created/, 'there is nothing left to change');

    await kubectl(controlPlane, 'apply', '-f', ORIGINAL);
    const back = await readDeployment(started, MANAGER);
    assert.deepEqual(back.spec, before.spec);
    assert.equal(back.metadata.uid, before.metadata.uid);
  });

  test('grants what the issuer does and nothing else', async () => {
    const started = await getStarted();
    const { controlPlane, cluster, cfssl, auditLog } = started;
    // Ours over the original left the proxy's rights; here they must not help.
    const leftovers = ['clusterrole/cfssl-issuer-proxy-role', 'clusterrolebinding/cfssl-issuer-proxy-rolebinding'];
    await kubectl(controlPlane, 'delete', '--ignore-not-found', ...leftovers);
    await runTarget(started, ['deploy'], MANAGER);
    await using issuer = await startIssuerPod({ access: controlPlane, cluster }, MANAGER);

    const namespace = await createNamespace(cluster, 'rights');
    const name = `${namespace}-ca`;
    const caSource = { configMapRef: { name: 'ca', key: 'ca.crt' } };
    await cluster.create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'ca', namespace: NAMESPACE },
      data: { 'ca.crt': cfssl.caPem },
    });
    const kinds = { Issuer: { name, namespace }, ClusterIssuer: { name, spec: { tls: { ca: caSource } } } };
    for (const [kind, options] of Object.entries(kinds)) {
      const { secret, issuer: manifest } = issuerManifests(cfssl, options);
      await cluster.create(secret);
      await cluster.create(manifest);
      const request = { namespace, name: `by-${kind.toLowerCase()}` };
      await createRequest(cluster, { ...request, issuerRef: { kind, name } });
      await waitForEvent(cluster, { namespace, kind: 'CertificateRequest', name: request.name }, 'WaitingForApproval');
      await judgeRequest(cluster, request, 'Approved');
      await waitForReason(cluster, request, 'Issued');
      await waitForEvent(cluster, { namespace, kind: 'CertificateRequest', name: request.name }, 'Issued');
    }
    const request = Buffer.from(await createCsr({ dnsNames: ['web.example'] })).toString('base64');
    for (const signer of [
      `issuers.cfssl-issuer.wikimedia.org/${namespace}.${name}`,
      `clusterissuers.cfssl-issuer.wikimedia.org/${name}`,
    ]) {
      const at = { resource: CERTIFICATE_SIGNING_REQUESTS, name: `rights-${signer.split('.')[0]}` };
      await cluster.client.create(CERTIFICATE_SIGNING_REQUESTS, {
        metadata: { name: at.name },
        spec: { request, signerName: signer, usages: ['digital signature', 'server auth'] },
      });
      await kubectl(controlPlane, 'certificate', 'approve', at.name);
      await cluster.waitFor<CertificateSigningRequest>(at, ({ status }) => status?.certificate !== undefined);
    }
    const lease = { resource: LEASES, namespace: NAMESPACE, name: '51059ce8.wikimedia.org' };
    await cluster.waitFor<Lease>(lease, ({ spec }) => spec?.renewTime !== spec?.acquireTime);

    const granted = rightsIn(await render(started, 'default'));
    const used = readUse(auditLog);
    assert.deepEqual(
      [...used].filter((right) => !granted.has(right)),
      [
        'create selfsubjectaccessreviews.authorization.k8s.io', // which everybody may
      ],
    );
    assert.deepEqual(
      [...granted].filter((right) => !used.has(right) && !RARE_RIGHTS.has(right)),
      [],
    );
    const complaints = issuer.readLog().filter(({ level }) => level === 'warn' || level === 'error');
    assert.deepEqual(complaints, []);
  });

  test('has a pod that the Pod Security Standard "restricted" admits, as has config/simple-cfssl', async () => {
    const started = await getStarted();
    const { controlPlane, cluster, folder } = started;
    const namespace = await createNamespace(cluster, 'restricted');
    await kubectl(controlPlane, 'label', 'namespace', namespace, 'pod-security.kubernetes.io/enforce=restricted');
    const manifests = [...(await render(started, 'default')), ...(await render(started, 'simple-cfssl'))];
    const deployments = manifests.filter(({ kind }) => kind === 'Deployment') as unknown as Deployment[];
    assert.equal(deployments.length, 2);
    for (const { metadata, spec } of deployments) {
      const apply = async (podSpec: object): Promise<string> => {
        const file = join(folder, 'pod.yaml');
        const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: metadata.name, namespace }, spec: podSpec };
        writeFileSync(file, stringify(pod));
        return await kubectl(controlPlane, 'apply', '--server-side', '--validate=strict', '-f', file);
      };
      const { securityContext: _, ...careless } = spec.template.spec as typeof spec.template.spec & {
        securityContext: object;
      };
      await assert.rejects(apply(careless), /violates PodSecurity "restricted/);
      assert.match(await apply(spec.template.spec), /serverside-applied/);
    }
  });

  test('is found by config/prometheus', async () => {
    const started = await getStarted();
    const [monitor] = await render(started, 'prometheus');
    const service = (await render(started, 'default')).find(({ kind }) => kind === 'Service');
    assert.ok(monitor !== undefined && service !== undefined);
    const { endpoints, selector } = monitor['spec'] as { endpoints: { port: string }[]; selector: object };
    const labels = (service.metadata as { labels?: object }).labels;
    assert.deepEqual(selector, { matchLabels: labels });
    const { ports } = service['spec'] as { ports: { name: string; targetPort: string }[] };
    assert.deepEqual(
      endpoints.map(({ port }) => port),
      ports.map(({ name }) => name),
    );
    const [container] = (await readDeployment(started, MANAGER)).spec.template.spec.containers;
    const { ports: containerPorts } = container as unknown as { ports: { name: string; containerPort: number }[] };
    const port = containerPorts.find(({ name }) => name === ports[0]?.targetPort);
    assert.equal(port?.containerPort, 8080);
  });
});

describe('config/samples', () => {
  test('gives kustomize all that is in the folder, the Gateway apart', async () => {
    const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;
    const samples = readSamples().filter(({ kind }) => kind !== 'Gateway');
    assert.deepEqual((await render(await getStarted(), 'samples')).map(nameOf).sort(), samples.map(nameOf).sort());
  });
});

describe('make deploy-simple-cfssl', () => {
  test('gives a CFSSL that the samples fit as they are, with a CA that stays', async () => {
    const started = await getStarted();
    const { controlPlane, cluster, folder } = started;
    await kubectl(controlPlane, 'apply', '-k', join(ROOT, 'config/crd'));
    await runTarget(started, ['simple-cfssl'], SIMPLE_CFSSL);
    const readSecret = () =>
      cluster.client.get(resourceOf({ apiVersion: 'v1', kind: 'Secret' }), {
        namespace: SIMPLE_CFSSL.namespace,
        name: 'simple-cfssl-ca',
      });
    const secret = await readSecret();
    await runTarget(started, ['simple-cfssl'], SIMPLE_CFSSL);
    assert.deepEqual((await readSecret()).metadata.uid, secret.metadata.uid);
    assert.deepEqual(Object(await readSecret()).data, Object(secret).data);

    const deployment = await readDeployment(started, SIMPLE_CFSSL);
    await using server = await withFreePort((port) =>
      startSimpleCfsslPod(cluster, deployment, { root: folder, listen: `127.0.0.1:${port}` }),
    );
    const tls = new X509Certificate(readFileSync(join(folder, 'cfssl/ca/tls.pem')));
    assert.ok(tls.checkHost(new URL(SAMPLE_URL).hostname) !== undefined);

    // The samples, but for the address, as there is no Service without nodes.
    const samples = readSamples().filter(
      ({ apiVersion, kind }) => !/^(networking|gateway)/.test(apiVersion) && kind !== 'Certificate',
    );
    const file = join(folder, 'samples.yaml');
    writeFileSync(file, samples.map((sample) => stringify(sample).replaceAll(SAMPLE_URL, server.url)).join('---\n'));
    await using _ = await startIssuer({ access: controlPlane });
    await kubectl(controlPlane, 'apply', '--server-side', '--validate=strict', '-f', file);
    const rootPem = readFileSync(join(folder, 'cfssl/ca/ca.pem'), 'utf8');
    for (const { kind, metadata, ...sample } of samples) {
      if (kind === 'CertificateRequest') {
        const at = { namespace: metadata.namespace ?? '', name: metadata.name };
        await judgeRequest(cluster, at, 'Approved');
        const intermediatePems = [1, 2].map((n) => readFileSync(join(folder, `cfssl/ca/intermediate${n}.pem`), 'utf8'));
        verifyRequest(await waitForReason(cluster, at, 'Issued'), { rootPem, intermediatePems });
      } else if (kind !== 'Secret') {
        const at = { resource: resourceOf({ ...sample, kind }), ...metadata };
        await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found));
      }
    }
  });

  test('says what is missing where there is no cluster', async () => {
    const env = { ...process.env, KUBECONFIG: '/nonexistent' };
    const deploy = promisify(execFile)(process.execPath, [join(ROOT, 'tools/deploy.ts'), 'simple-cfssl'], { env });
    await assert.rejects(deploy, ({ code, stderr }: { code: number; stderr: string }) => {
      assert.equal(code, 1);
      assert.match(stderr, /^There is no cluster to work on: set KUBECONFIG/);
      return true;
    });
  });
});
