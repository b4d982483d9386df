// The end-to-end suite: the samples become Ready, and what was issued for them is right. The demo shows it, and
// `make e2e` judges a cluster by it, whoever runs the programs there.

import {
  approve,
  type Cluster,
  isReady,
  type Manifest,
  type ObjectWithConditions,
  openCluster,
  resourceOf,
} from './cluster.ts';
import type { DemoServers } from './demo-servers.ts';
import { progress } from './progress.ts';
import { fitSamples, readSamples, readyObjectsOf } from './samples.ts';
import { type KnownCas, type Verified, verifyRequest, verifySecret } from './verify.ts';

const READY_WITHIN_MS = 60_000;
/** What nobody acts on without cert-manager. */
const FOR_CERT_MANAGER = new Set(['Certificate', 'Ingress', 'Gateway']);

export interface SuiteResult {
  /** All that is Ready. */
  readonly objects: readonly ObjectWithConditions[];
  /** What was issued, by the object that it was issued for. */
  readonly verified: ReadonlyMap<ObjectWithConditions, Verified>;
  readonly applyToReadyMs: number;
}

/** Runs the suite on servers of this machine. @throws Error that says what does not hold */
export async function runSuite(
  { controlPlane, certManager, cfssl }: DemoServers,
  signal: AbortSignal,
): Promise<SuiteResult> {
  await using cleanup = new AsyncDisposableStack();
  const cluster = cleanup.adopt(openCluster(controlPlane), (opened) => opened.close());
  const samples = readSamples().filter(({ kind }) => certManager !== undefined || !FOR_CERT_MANAGER.has(kind));
  const startedMs = performance.now();
  for (const sample of fitSamples(samples, cfssl)) {
    await cluster.create(sample);
    if (certManager === undefined && sample.kind === 'CertificateRequest') await approve(cluster, sample);
  }
  const objects = await waitUntilReady(cluster, samples, signal);
  const applyToReadyMs = performance.now() - startedMs;
  const known = { rootPem: cfssl.rootPem, intermediatePems: Object.values(cfssl.intermediatePems) };
  return { objects, verified: await verifyAll(cluster, objects, known), applyToReadyMs };
}

/** Waits for all that is to become Ready of samples that were applied. */
export async function waitUntilReady(
  cluster: Cluster,
  samples: readonly Manifest[],
  signal: AbortSignal,
): Promise<readonly ObjectWithConditions[]> {
  return await progress('Waiting until every sample is Ready', () =>
    Promise.all(
      readyObjectsOf(samples).map(async (sample) => {
        const at = { resource: resourceOf(sample), ...sample.metadata };
        const options = { withinMs: READY_WITHIN_MS, signal };
        const object = await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found), options);
        return { ...object, kind: sample.kind };
      }),
    ),
  );
}

/** Verifies what was issued. @throws Error when any of it does not hold */
export async function verifyAll(
  cluster: Cluster,
  objects: readonly ObjectWithConditions[],
  known: KnownCas,
): Promise<ReadonlyMap<ObjectWithConditions, Verified>> {
  const verified = new Map<ObjectWithConditions, Verified>();
  for (const object of objects) {
    if (object.kind === 'Certificate') verified.set(object, await verifySecret(cluster, object, known));
    if (object.kind === 'CertificateRequest') verified.set(object, verifyRequest(object, known));
  }
  for (const [{ kind, metadata }, { ca }] of verified) {
    if (ca === undefined) throw new Error(`There is no CA with what was issued for ${kind} ${metadata.name}`);
  }
  return verified;
}
