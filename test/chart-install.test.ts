/**
 * The charts on a real API server: all that they render is valid there, their pods are admitted where the Pod Security
 * Standard "restricted" is enforced, and releases are installed, taken over from the chart of the Go program, upgraded and
 * uninstalled by the real helm.
 */
import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { startSimpleCfssl } from '../simple-cfssl/index.ts';
import { type Manifest, openCluster } from '../tools/cluster.ts';
import { applyOurCrds } from '../tools/our-crds.ts';
import { verifyRequest } from '../tools/verify.ts';
import { type ChartCluster, startChartCluster } from './support/chart-cluster.ts';
import { kubectl } from './support/config-maps.ts';
import { createRequest, judgeRequest, waitForReason } from './support/environment.ts';
import { CHART, CRDS_CHART, findManifest, helm, RELEASE_NAMESPACE, render, renderText } from './support/helm.ts';
import { startIssuerPod } from './support/issuer-pod.ts';
import { DEPLOYMENTS, type Deployment, mountVolumes } from './support/pods.ts';

const FOLDER = join(import.meta.dirname, 'charts');
const CASES = join(FOLDER, 'cases');
const GROUP = 'cfssl-issuer.wikimedia.org';
const HERE = `--namespace=${RELEASE_NAMESPACE}`;

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());

let started: Promise<ChartCluster> | undefined;
/** One cluster for all; each test leaves it without a release and without our CRDs. */
function getCluster(): Promise<ChartCluster> {
  return (started ??= startChartCluster().then((cluster) => cleanup.use(cluster)));
}

async function crdsOf({ read }: ChartCluster): Promise<string[]> {
  const names = await read('{.items[*].metadata.name}', 'crds');
  return names.split(' ').filter((name) => name.endsWith(`.${GROUP}`));
}

function podOf({ metadata, spec }: Manifest): string {
  const { template } = spec as { template: { metadata: object; spec: object } };
  const { name } = metadata;
  const namespace = RELEASE_NAMESPACE;
  return stringify({ apiVersion: 'v1', kind: 'Pod', ...template, metadata: { ...template.metadata, name, namespace } });
}

describe('What the chart renders', () => {
  test('is valid for the API server, for every file of values', async () => {
    const cluster = await getCluster();
    await applyOurCrds(cluster.controlPlane);
    try {
      for (const name of globSync('*.yaml', { cwd: CASES })) {
        const manifests = await renderText({}, `--values=${join(CASES, name)}`);
        await cluster.validate(manifests).catch((error: Error) => assert.fail(`${name}: ${error.message}`));
      }
      // What is misspelt would not pass.
      const misspelt = await renderText({ strategy: { rollingUpdat: {} } });
      await assert.rejects(cluster.validate(misspelt), /unknown field "spec.strategy.rollingUpdat"/);
    } finally {
      await removeOurCrds(cluster);
    }
  });

  test('has pods that the Pod Security Standard "restricted" admits', async () => {
    const { validate } = await getCluster();
    const simple = await render({ simpleCfssl: { enabled: true } });
    await validate(podOf(findManifest(simple, 'Deployment', 'cfssl-issuer')));
    await validate(podOf(findManifest(simple, 'Deployment', 'cfssl-issuer-simple-cfssl')));
    const loose = await render({ securityContext: { capabilities: { drop: [] } } });
    await assert.rejects(validate(podOf(findManifest(loose, 'Deployment'))), /violates PodSecurity "restricted/);
  });
});

describe('A release', () => {
  test('of the chart of the Go program is taken over, with the values that it had', async () => {
    const cluster = await getCluster();
    const { controlPlane, read } = cluster;
    const values = `--values=${join(CASES, 'today.yaml')}`;
    const [oldCrds, oldChart] = ['cfssl-issuer-crds', 'cfssl-issuer'].map((name) => join(FOLDER, 'original', name));
    // As helm 3 did, which such releases were installed with.
    const asBefore = '--server-side=false';
    await helm(['install', 'cfssl-issuer-crds', oldCrds ?? '', HERE, asBefore], controlPlane);
    await helm(['install', 'cfssl-issuer', oldChart ?? '', HERE, values, asBefore], controlPlane);
    const objects = [
      ['deployment', 'pki-issuer', HERE],
      ['serviceaccount', 'controller-manager', HERE],
      ['secret', 'discovery-key', HERE],
      ['clusterrole', 'pki-issuer-manager-role'],
      ['clusterrolebinding', 'pki-issuer-manager-rolebinding'],
      ['role', 'pki-issuer-leader-election-role', HERE],
      ['networkpolicy.networking.k8s.io', 'pki-issuer', HERE],
      [`clusterissuers.${GROUP}`, 'discovery'],
      [`issuers.${GROUP}`, 'team', '--namespace=team'],
      ['crd', `issuers.${GROUP}`],
      ['crd', `clusterissuers.${GROUP}`],
    ];
    const identities = (): Promise<string[]> =>
      Promise.all(objects.map((object) => read('{.kind} {.metadata.name} {.metadata.uid}', ...object)));
    const before = await identities();

    await helm(['upgrade', 'cfssl-issuer-crds', CRDS_CHART, HERE], controlPlane);
    await helm(['upgrade', 'cfssl-issuer', CHART, HERE, values], controlPlane);

    assert.deepEqual(await identities(), before); // Nothing was made anew.
    const deployment = ['deployment', 'pki-issuer', HERE];
    const container = '{.spec.template.spec.containers[0]';
    assert.equal(await read('{.spec.replicas}', ...deployment), '3');
    assert.equal(await read(`${container}.image}`, ...deployment), 'registry.example.org/pki/issuer:v1');
    assert.equal(await read(`${container}.securityContext.readOnlyRootFilesystem}`, ...deployment), 'true');
    assert.equal(await read(`${container}.resources.limits}`, ...deployment), '{"memory":"1Gi"}');
    assert.equal(await read('{.spec.bundle}', `clusterissuers.${GROUP}`, 'discovery'), 'true');
    assert.equal(await read('{.data.key}', 'secret', 'discovery-key', HERE), 'YWFiYmNjZGQ=');
    const rules = await read('{.rules}', 'clusterrole', 'pki-issuer-manager-role');
    assert.doesNotMatch(rules, /update/);

    await helm(['uninstall', 'cfssl-issuer', HERE], controlPlane);
    await helm(['uninstall', 'cfssl-issuer-crds', HERE], controlPlane);
    await removeOurCrds(cluster);
  });

  for (const [what, name, chart, on] of [
    ['of the CRDs', 'cfssl-issuer-crds', CRDS_CHART, ''],
    ['that has the CRDs', 'cfssl-issuer', CHART, 'crds.'],
  ] as const) {
    test(`${what} leaves them when it is uninstalled, can be installed over them, and removes them if told so`, async () => {
      const cluster = await getCluster();
      const { controlPlane } = cluster;
      const enabled = on === '' ? [] : ['--set=crds.enabled=true'];
      await helm(['install', name, chart, HERE, ...enabled], controlPlane);
      const [first = ''] = await crdsOf(cluster);
      const uid = await cluster.read('{.metadata.uid}', 'crd', first);
      await helm(['uninstall', name, HERE], controlPlane);
      assert.equal((await crdsOf(cluster)).length, 2);

      await helm(['install', name, chart, HERE, ...enabled], controlPlane);
      assert.equal(await cluster.read('{.metadata.uid}', 'crd', first), uid);
      await helm(['upgrade', name, chart, HERE, ...enabled, `--set=${on}keep=false`], controlPlane);
      await helm(['uninstall', name, HERE], controlPlane);
      await waitUntilGone(cluster);
    });
  }

  test('with simple-cfssl keeps its key and certificate when it is upgraded', async () => {
    const cluster = await getCluster();
    const { controlPlane, read } = cluster;
    await applyOurCrds(controlPlane);
    const data = (): Promise<string> => read('{.data}', 'secret', 'cfssl-issuer-simple-cfssl', HERE);
    const on = '--set=simpleCfssl.enabled=true';
    await helm(['install', 'cfssl-issuer', CHART, HERE, on], controlPlane);
    const before = await data();
    await helm(['upgrade', 'cfssl-issuer', CHART, HERE, on, '--set=replicaCount=3'], controlPlane);
    assert.equal(await read('{.spec.replicas}', 'deployment', 'cfssl-issuer', HERE), '3');
    assert.equal(await data(), before);
    const key = await read('{.data.key}', 'secret', 'simple-cfssl-key', HERE);
    assert.equal((JSON.parse(before) as Record<string, string>)['auth-key'], key);

    await helm(['uninstall', 'cfssl-issuer', HERE], controlPlane);
    await removeOurCrds(cluster);
  });

  test('with simple-cfssl has an issuer that gets ready, and signs', async () => {
    const cluster = await getCluster();
    const { controlPlane } = cluster;
    await using cleanup = new AsyncDisposableStack();
    await applyOurCrds(controlPlane);
    await helm(['install', 'cfssl-issuer', CHART, HERE, '--set=simpleCfssl.enabled=true'], controlPlane);
    const opened = cleanup.adopt(openCluster(controlPlane), (open) => open.close());

    // The kubelet's part: the files below another root, and the Service's name as the address of the process.
    const root = cleanup.adopt(mkdtempSync(join(tmpdir(), 'simple-cfssl-')), (path) =>
      rmSync(path, { recursive: true }),
    );
    const simple = { namespace: RELEASE_NAMESPACE, name: 'cfssl-issuer-simple-cfssl' };
    const deployment = await opened.client.get<Deployment>(DEPLOYMENTS, simple);
    await mountVolumes(opened, deployment, root);
    const rootsFile = join(root, '/etc/simple-cfssl/multiroot.conf');
    writeFileSync(
      rootsFile,
      readFileSync(rootsFile, 'utf8').replaceAll('/etc/simple-cfssl', join(root, '/etc/simple-cfssl')),
    );
    const server = cleanup.adopt(await startSimpleCfssl({ now: () => Date.now(), rootsFile }), (it) => it.stop());
    const issuer = ['clusterissuers.cfssl-issuer.wikimedia.org', 'simple-cfssl'];
    const address = 'http://cfssl-issuer-simple-cfssl.pki.svc:8888';
    assert.equal(await cluster.read('{.spec.url}', ...issuer), address);
    assert.equal(await cluster.read('{.spec.ports[0].port}', 'service', simple.name, HERE), '8888');
    await kubectl(
      controlPlane,
      'patch',
      ...issuer,
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { url: server.url } }),
    );

    cleanup.use(await startIssuerPod({ access: controlPlane, cluster: opened }, { ...simple, name: 'cfssl-issuer' }));
    const at = { namespace: 'team', name: 'tried' };
    await createRequest(opened, { ...at, issuerRef: { kind: 'ClusterIssuer', name: 'simple-cfssl' } });
    await judgeRequest(opened, at, 'Approved');
    const request = await waitForReason(opened, at, 'Issued');
    verifyRequest(request, { rootPem: server.rootPem, intermediatePems: [] });

    await helm(['uninstall', 'cfssl-issuer', HERE], controlPlane);
    await removeOurCrds(cluster);
  });
});

async function removeOurCrds(cluster: ChartCluster): Promise<void> {
  await kubectl(cluster.controlPlane, 'delete', 'crd', ...(await crdsOf(cluster)));
}

async function waitUntilGone(cluster: ChartCluster): Promise<void> {
  const endMs = performance.now() + 60_000;
  while ((await crdsOf(cluster)).length > 0) {
    assert.ok(performance.now() < endMs, 'The CRDs are still there');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
