/** `make demo` as a user sees it: it shows what happened, and whatever ends it leaves nothing behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureBinary } from '../tools/servers/index.ts';

const ROOT = join(import.meta.dirname, '..');
/** How long after the demo's end its children may take to follow. */
const GONE_WITHIN_MS = 15_000;

interface Demo {
  readonly child: ChildProcess;
  readonly temporary: string;
  output(): string;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** Starts the demo with a temporary folder of its own, by which its processes are known too: they inherit it. */
function startDemo(flags: readonly string[] = [], more: NodeJS.ProcessEnv = {}): Demo {
  const temporary = mkdtempSync(join(tmpdir(), 'demo-test-'));
  const env = { ...process.env, ...more, TMPDIR: temporary };
  const child = spawn(process.execPath, [join(ROOT, 'tools/demo.ts'), ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<Awaited<Demo['ended']>>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  return { child, temporary, ended, output: () => output };
}

async function waitForOutput(demo: Demo, text: string): Promise<void> {
  while (!demo.output().includes(text)) {
    if (demo.child.exitCode !== null) throw new Error(`The demo ended before it said "${text}": ${demo.output()}`);
    await sleep(5);
  }
}

async function waitForEntries(demo: Demo, atLeast: number): Promise<void> {
  while (readdirSync(demo.temporary).length < atLeast) {
    if (demo.child.exitCode !== null) throw new Error(`The demo ended too early: ${demo.output()}`);
    await sleep(1);
  }
}

function processesOf({ temporary }: Demo): string[] {
  const processes = execFileSync('ps', ['axeww', '-o', 'pid=,command='], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  return processes.split('\n').filter((line) => line.includes(`TMPDIR=${temporary}`));
}

async function assertNothingLeft(demo: Demo): Promise<void> {
  const deadlineMs = performance.now() + GONE_WITHIN_MS;
  while (performance.now() < deadlineMs && processesOf(demo).length + readdirSync(demo.temporary).length > 0)
    await sleep(20);
  assert.deepEqual(processesOf(demo), []);
  assert.deepEqual(readdirSync(demo.temporary), []);
  rmSync(demo.temporary, { recursive: true });
}

describe('make demo', () => {
  test('with ONCE=1 shows every sample verified and ends with 0', async () => {
    const demo = startDemo(['--once']);
    const { code } = await demo.ended;
    assert.equal(code, 0, demo.output());
    for (const text of [
      'ClusterIssuer clusterissuer-sample  Ready',
      'Issuer default/issuer-sample  Ready',
      'certificate-by-clusterissuer.example.com ← Test Intermediate 1 ← Test Root ✔',
      'certificate-by-issuer.example.com ← Test Intermediate 2 ← Test Root ✔',
      'CertificateRequest default/certificaterequest-by-issuer  Ready',
      'ClusterIssuer bundleissuer-sample  Ready',
      'servers: dead, up',
      'certificate-by-bundleissuer.example.com ← Test Intermediate 1 ← Test Root ✔  ca.crt: Test Root',
      'made for Ingress ingress-sample',
      'made for Gateway gateway-sample',
      'Everything is Ready and verified',
    ]) {
      assert.ok(demo.output().includes(text), `"${text}" in ${demo.output()}`);
    }
    await assertNothingLeft(demo);
  });

  test('without Go makes do with simple-cfssl and bare requests, and says so', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'no-go-'));
    const [assets, bin] = [join(folder, 'assets'), join(folder, 'bin')];
    for (const path of [assets, bin]) mkdirSync(path);
    for (const name of ['etcd', 'kube-apiserver', 'kubectl'] as const) {
      symlinkSync(await ensureBinary(name), join(assets, name));
    }
    for (const name of ['rm', 'sleep']) symlinkSync(`/bin/${name}`, join(bin, name));
    const demo = startDemo(['--once'], { KUBEBUILDER_ASSETS: assets, XDG_CACHE_HOME: folder, PATH: bin });
    const { code } = await demo.ended;
    assert.equal(code, 0, demo.output());
    for (const text of [
      'There is no Go here',
      'CertificateRequest default/certificaterequest-by-clusterissuer  Ready',
      'bare-request.example.com ← simple-cfssl Intermediate 2 ← simple-cfssl Root ✔',
    ]) {
      assert.ok(demo.output().includes(text), `"${text}" in ${demo.output()}`);
    }
    await assertNothingLeft(demo);
    rmSync(folder, { recursive: true });
  });

  const moments: readonly (readonly [string, (demo: Demo) => Promise<void>])[] = [
    ['at the first folder', (demo) => waitForEntries(demo, 1)],
    ['when two servers are starting', (demo) => waitForEntries(demo, 2)],
    ['when all servers run', (demo) => waitForOutput(demo, 'Running on this machine')],
    ['when everything is up', (demo) => waitForOutput(demo, 'Ctrl-C stops everything')],
  ];
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    for (const [moment, waitForMoment] of moments) {
      test(`ended by ${signal} ${moment} leaves nothing behind`, async () => {
        const demo = startDemo();
        await waitForMoment(demo);
        demo.child.kill(signal);
        await demo.ended;
        await assertNothingLeft(demo);
      });
    }
  }
});
