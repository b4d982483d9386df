// `make e2e`: the end-to-end suite. On a kind cluster, with our images in pods, where kind and docker are there; the same
// samples and the same judgement on the control plane of the tests, with our programs as processes, elsewhere. `--images`
// builds the images first, where kind is.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openClusterOf } from './cluster.ts';
import { formatReport } from './demo-report.ts';
import { startDemoServers } from './demo-servers.ts';
import { deploy, deploySimpleCfssl, imageOf, readSimpleCfsslCa } from './deploy.ts';
import { DeployError, findCluster, findProgram, type Kubectl } from './kubectl.ts';
import { runSuite, type SuiteResult, verifyAll, waitUntilReady } from './sample-suite.ts';
import { readSamples } from './samples.ts';

const ROOT = join(import.meta.dirname, '..');
const CLUSTER = 'cfssl-issuer-e2e';
const WAIT = '--timeout=300s';

/** What it takes to run on kind: images are handed over by docker alone. */
interface KindTools {
  readonly kind: string;
  readonly docker: string;
}

/** kind and a docker that answers, or why it is not to be had. */
export function findKindTools(env: NodeJS.ProcessEnv = process.env): KindTools | string {
  const kind = findProgram('kind', env);
  if (kind === undefined) return 'kind is not in PATH';
  const docker = findProgram('docker', env);
  if (docker === undefined) return 'docker is not in PATH';
  const answers = spawnSync(docker, ['info'], { env, stdio: 'ignore', timeout: 20_000 }).status === 0;
  return answers ? { kind, docker } : 'no daemon answers docker';
}

async function runOnKind({ kind, docker }: KindTools, isToBuild: boolean, signal: AbortSignal): Promise<SuiteResult> {
  const { env } = process;
  const images = [imageOf('default', env), imageOf('simple-cfssl', env)];
  const folder = mkdtempSync(join(tmpdir(), 'e2e-'));
  try {
    if (isToBuild) {
      run('make', ['docker-build', 'ENGINE=docker', `IMG=${images[0]}`]);
      run('make', ['docker-build-simple-cfssl', 'ENGINE=docker', `IMG=${images[1]}`]);
    }
    for (const image of images) {
      if (spawnSync(docker, ['image', 'inspect', image], { stdio: 'ignore' }).status !== 0) {
        throw new DeployError(`There is no image ${image}: build both with make e2e-all`);
      }
    }
    const clusters = execFileSync(kind, ['get', 'clusters'], { encoding: 'utf8' }).split('\n');
    if (!clusters.includes(CLUSTER)) run(kind, ['create', 'cluster', `--name=${CLUSTER}`, '--wait=120s']);
    // From here on all that looks for a cluster finds this one.
    env['KUBECONFIG'] = join(folder, 'kubeconfig');
    run(kind, ['export', 'kubeconfig', `--name=${CLUSTER}`, `--kubeconfig=${env['KUBECONFIG']}`]);
    for (const image of images) run(kind, ['load', 'docker-image', `--name=${CLUSTER}`, image]);
    const kubectl = await findCluster();
    await deployCertManager(kubectl);
    await deploySimpleCfssl(kubectl, env);
    await deploy(kubectl, env);
    return await runOnCluster(kubectl, env['KUBECONFIG'], signal);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The samples as they are, in a cluster where everything runs; they are gone at the end if all was well. */
async function runOnCluster(kubectl: Kubectl, kubeconfig: string, signal: AbortSignal): Promise<SuiteResult> {
  await using cleanup = new AsyncDisposableStack();
  const cluster = cleanup.adopt(await openClusterOf(kubeconfig), (opened) => opened.close());
  const folder = join(ROOT, 'config/samples');
  // The Gateway API is no part of a new cluster.
  const samples = readSamples().filter(({ kind }) => kind !== 'Gateway');
  const startedMs = performance.now();
  await kubectl.run(['apply', '-f', folder]);
  const objects = await waitUntilReady(cluster, samples, signal);
  const applyToReadyMs = performance.now() - startedMs;
  const { 'ca.pem': rootPem = '', ...files } = (await readSimpleCfsslCa(kubectl)) ?? {};
  const intermediatePems = [files['intermediate1.pem'] ?? '', files['intermediate2.pem'] ?? ''];
  const verified = await verifyAll(cluster, objects, { rootPem, intermediatePems });
  await kubectl.run(['delete', '-f', folder]);
  return { objects, verified, applyToReadyMs };
}

/** The release that the tests run parts of. */
async function deployCertManager(kubectl: Kubectl): Promise<void> {
  const goMod = readFileSync(join(ROOT, 'tools/servers/cert-manager/go.mod'), 'utf8');
  const version = /cert-manager\/cert-manager (v[\d.]+)/.exec(goMod)?.[1] ?? '';
  const url = `https://github.com/cert-manager/cert-manager/releases/download/${version}/cert-manager.yaml`;
  await kubectl.run(['apply', '-f', url]);
  await kubectl.run(['-n', 'cert-manager', 'wait', '--for=condition=Available', WAIT, 'deployment', '--all']);
}

async function runHere(why: string, signal: AbortSignal): Promise<SuiteResult> {
  process.stdout.write(`Without kind, as ${why}: on a control plane of this machine, our programs as processes\n`);
  await using cleanup = new AsyncDisposableStack();
  return await runSuite(await startDemoServers(cleanup, signal), signal);
}

/** Runs a program with its output shown. @throws DeployError */
function run(program: string, words: readonly string[]): void {
  const { status, error } = spawnSync(program, words, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) throw new DeployError(`${program} ${words.join(' ')} failed${error ? `: ${error.message}` : ''}`);
}

if (import.meta.main) {
  const interrupt = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupt.abort(new Error(name)));
  try {
    const tools = findKindTools();
    const isToBuild = process.argv.includes('--images');
    const result =
      typeof tools === 'string'
        ? await runHere(tools, interrupt.signal)
        : await runOnKind(tools, isToBuild, interrupt.signal);
    process.stdout.write(formatReport(result));
    process.stdout.write('The end-to-end suite passed\n');
  } catch (error) {
    process.stderr.write(`The end-to-end suite failed: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
