// `make demo`: a Certificate becomes a signed Secret, on real servers, on this machine. Starts a control plane,
// cert-manager's controllers and multirootca, then our issuer as a user runs it, applies config/samples, waits until all
// is Ready, verifies what was issued and shows it. Stays up until Ctrl-C; with `--once` it ends when all is verified.

import {
  approve,
  type Cluster,
  isReady,
  type Manifest,
  type ObjectWithConditions,
  openCluster,
  resourceOf,
} from './cluster.ts';
import { formatIntroduction, formatNextSteps, formatReport } from './demo-report.ts';
import { startDemoServers } from './demo-servers.ts';
import { progress } from './progress.ts';
import { readSamples } from './samples.ts';
import { type Verified, verifyRequest, verifySecret } from './verify.ts';

const READY_WITHIN_MS = 60_000;
/** Kinds with a Ready condition. */
const WAITED_FOR = new Set(['Issuer', 'ClusterIssuer', 'Certificate', 'CertificateRequest']);

async function runDemo(once: boolean, signal: AbortSignal): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const startedMs = performance.now();
  const servers = await startDemoServers(cleanup, signal);
  const { controlPlane, certManager, cfssl } = servers;
  process.stdout.write(formatIntroduction(servers));

  const cluster = openCluster(controlPlane);
  cleanup.defer(() => cluster.close());
  const samples = readSamples(cfssl).filter(({ kind }) => certManager !== undefined || kind !== 'Certificate');
  const appliedMs = performance.now();
  for (const sample of samples) {
    await cluster.create(sample);
    if (certManager === undefined && sample.kind === 'CertificateRequest') await approve(cluster, sample);
  }
  const objects = await progress('Waiting until every sample is Ready', () => waitForAll(cluster, samples, signal));
  const readyMs = performance.now();
  const verified = await verifyAll(cluster, objects, cfssl.rootPem, Object.values(cfssl.intermediatePems));
  process.stdout.write(formatReport(objects, verified, { applyToReadyMs: readyMs - appliedMs }));
  if (once) {
    process.stdout.write(
      `Everything is Ready and verified, ${Math.round((readyMs - startedMs) / 1000)} s after the start.\n`,
    );
    return;
  }
  process.stdout.write(formatNextSteps(servers));
  await untilAborted(signal);
}

async function waitForAll(
  cluster: Cluster,
  samples: readonly Manifest[],
  signal: AbortSignal,
): Promise<readonly ObjectWithConditions[]> {
  return await Promise.all(
    samples
      .filter(({ kind }) => WAITED_FOR.has(kind))
      .map(async (sample) => {
        const at = { resource: resourceOf(sample), ...sample.metadata };
        const options = { withinMs: READY_WITHIN_MS, signal };
        const object = await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found), options);
        return { ...object, kind: sample.kind };
      }),
  );
}

/** What was issued, by the object's key; throws when any of it does not hold. */
async function verifyAll(
  cluster: Cluster,
  objects: readonly ObjectWithConditions[],
  rootPem: string,
  intermediatePems: readonly string[],
): Promise<ReadonlyMap<ObjectWithConditions, Verified>> {
  const known = { rootPem, intermediatePems };
  const verified = new Map<ObjectWithConditions, Verified>();
  for (const object of objects) {
    if (object.kind === 'Certificate') verified.set(object, await verifySecret(cluster, object, known));
    if (object.kind === 'CertificateRequest') verified.set(object, verifyRequest(object, known));
  }
  return verified;
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // The interval keeps the process alive: everything else that is open is a child's.
    const alive = setInterval(() => {}, 2 ** 30);
    const end = (): void => {
      clearInterval(alive);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (!interrupt.signal.aborted) process.stderr.write('\nStopping\n');
    interrupt.abort(new Error(`Interrupted by ${name}`));
  });
}
try {
  await runDemo(process.argv.includes('--once'), interrupt.signal);
} catch (error) {
  if (interrupt.signal.aborted) process.exitCode = 130;
  else {
    process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
