/**
 * `node bench/kubernetes-runtime.ts`: what our runtime costs beside @kubernetes/client-node, against the real API server,
 * alternating in one run; read the ratios. Budgets: at most a quarter of its memory, a third of its CPU per status patch, no
 * event-loop block above 50 ms.
 *
 * - list: lists 10,000 CertificateRequests, holds them for a second. `ours` prunes finished requests as the issuer does,
 *   `ours, whole` keeps all but the managed fields. Peak: of the process, and what it grew by since before the list.
 * - patch: server-side apply of a status of 2 KB, 8 at a time.
 * - watch: reading what happened since a version in the past: the server sends as fast as the client reads.
 * - resync: the connections are reset, an object has changed; from then until its new version is there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { stringify } from 'yaml';
import type { KubernetesClient } from '../src/kubernetes/index.ts';
import { FaultProxy } from '../test/support/fault-proxy.ts';
import { openCluster } from '../tools/cluster.ts';
import { installCertManagerCrds, startControlPlane } from '../tools/servers/index.ts';
import { IMAGE_FLAGS } from './image-flags.ts';

const OBJECTS = Number(process.argv[2] ?? 10_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const EVENTS = 3000;
const NAMESPACE = 'bench';
const REQUESTS = {
  group: 'cert-manager.io',
  version: 'v1',
  plural: 'certificaterequests',
  kind: 'CertificateRequest',
  namespaced: true,
};
const CONTENDERS = ['ours', 'ours, whole', 'client-node'] as const;
type Figures = Record<string, number>;

const program = await bundleContender();

/** Bundled as the issuer is: what strips types from sources would weigh as much as either client. */
async function bundleContender(): Promise<string> {
  const outfile = join(import.meta.dirname, '..', 'dist', 'kubernetes-contender.mjs');
  await build({
    entryPoints: [join(import.meta.dirname, 'kubernetes-contender.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['@kubernetes/client-node'],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return outfile;
}

function start(who: string, what: string, kubeconfig: string, argument = ''): ChildProcess {
  const flags = who === 'client-node' ? [] : IMAGE_FLAGS;
  return spawn(process.execPath, ['--expose-gc', ...flags, program, who, what, kubeconfig, argument], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

async function measure(who: string, what: string, kubeconfig: string, argument = ''): Promise<Figures> {
  const child = start(who, what, kubeconfig, argument);
  const chunks: string[] = [];
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`${who} ${what} ended with ${String(code)}`);
  return JSON.parse(chunks.join('')) as Figures;
}

/** The median of each figure over the rounds. */
function medianOf(rounds: readonly Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = rounds.map((round) => round[name] ?? 0).toSorted((a, b) => a - b);
      return [name, values[values.length >> 1] ?? 0];
    }),
  );
}

function print(what: string, results: ReadonlyMap<string, Figures>): void {
  const reference = results.get('client-node') ?? {};
  console.log(`\n${what}`);
  for (const [who, figures] of results) {
    const columns = Object.entries(figures).map(([name, value]) => {
      const ratio = who === 'client-node' ? '' : ` (${(value / (reference[name] ?? Number.NaN)).toFixed(2)})`;
      return `${name} ${value.toFixed(value < 10 ? 2 : 0)}${ratio}`;
    });
    console.log(`  ${who.padEnd(12)} ${columns.join('  ')}`);
  }
}

async function fill(client: KubernetesClient): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < OBJECTS; i = next++) {
      const metadata = { name: `request-${i}`, namespace: NAMESPACE, annotations: { owner: 'x'.repeat(200) } };
      const spec = {
        request: Buffer.alloc(1000, `${i}`).toString('base64'),
        issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: 'ca' },
      };
      await client.create(REQUESTS, { metadata, spec });
      const [certificate, ca] = [Buffer.alloc(2000, `${i}`), Buffer.alloc(900, 'ca')].map((x) => x.toString('base64'));
      const condition = { type: 'Ready', status: 'True', reason: 'Issued', message: 'Certificate issued' };
      const conditions = [{ ...condition, lastTransitionTime: '2026-01-01T00:00:00Z' }];
      const object = {
        metadata: { name: metadata.name, namespace: NAMESPACE },
        status: { certificate, ca, conditions },
      };
      await client.applyStatus(REQUESTS, object, { fieldManager: 'bench' });
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
}

async function resync(who: string, proxy: FaultProxy, client: KubernetesClient, folder: string): Promise<Figures> {
  const kubeconfig = join(folder, 'proxy');
  writeFileSync(
    kubeconfig,
    stringify({
      clusters: [
        {
          name: 'proxy',
          cluster: {
            server: proxy.url,
            'certificate-authority-data': Buffer.from(proxy.caPem).toString('base64'),
          },
        },
      ],
      users: [{ name: 'nobody', user: {} }],
      contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'nobody' } }],
      'current-context': 'proxy',
    }),
  );
  const child = start(who, 'resync', kubeconfig);
  if (child.stdout === null) throw new Error('No output');
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  await lines.next();
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    await sleep(3000); // The watch is open, and has been for longer than a moment.
    const mark = `${performance.now()}`;
    const change = client.mergePatch(
      REQUESTS,
      { namespace: NAMESPACE, name: 'request-0' },
      { metadata: { annotations: { mark } } },
    );
    proxy.resetConnections();
    const resetMs = performance.now();
    await change;
    for (;;) {
      const line = await lines.next();
      if (line.done) throw new Error(`${who} ended`);
      if ((JSON.parse(line.value) as { mark?: string }).mark === mark) break;
    }
    times.push(performance.now() - resetMs);
  }
  child.kill('SIGKILL');
  return { resyncMs: times.toSorted((a, b) => a - b)[1] ?? 0, longestMs: Math.max(...times) };
}

await using controlPlane = await startControlPlane();
await installCertManagerCrds(controlPlane);
const cluster = openCluster(controlPlane);
const { kubeconfig } = controlPlane;
await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
const fillMs = performance.now();
await fill(cluster.client);
console.log(`${OBJECTS} CertificateRequests made in ${Math.round((performance.now() - fillMs) / 1000)} s`);

async function compare(what: string, take: (who: string, round: number) => Promise<Figures>): Promise<void> {
  const rounds = new Map<string, Figures[]>(CONTENDERS.map((who) => [who, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const who of CONTENDERS) {
      if (who === 'ours, whole' && what !== 'list') continue;
      rounds.get(who)?.push(await take(who, round));
    }
  }
  const results = [...rounds].filter(([, all]) => all.length > 0).map(([who, all]) => [who, medianOf(all)] as const);
  print(what, new Map(results));
}

await compare('list', (who) => measure(who, 'list', kubeconfig));
let patches = 0;
await compare('patch', (who) => measure(who, 'patch', kubeconfig, `${patches++}`));
const { resourceVersion } = await cluster.client.list(REQUESTS, { namespace: NAMESPACE, limit: 1 });
for (let i = 0; i < EVENTS; i++) {
  const name = `request-${i % OBJECTS}`;
  await cluster.client.mergePatch(
    REQUESTS,
    { namespace: NAMESPACE, name },
    { metadata: { annotations: { n: `${i}` } } },
  );
}
await compare('watch', (who) => measure(who, 'watch', kubeconfig, `${resourceVersion}:${EVENTS}`));
const folder = mkdtempSync(join(tmpdir(), 'bench-'));
await using proxy = await FaultProxy.start(controlPlane);
await compare('resync', (who) => resync(who, proxy, cluster.client, folder));
rmSync(folder, { recursive: true });
await cluster.close();
