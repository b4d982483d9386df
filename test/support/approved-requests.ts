/** Approved requests in numbers, for the Issuer `ca` of their namespace, and the wait for their end. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../../src/api/index.ts';
import type { Cluster } from '../../tools/cluster.ts';
import { createRequest, judgeRequest, readyOf } from './environment.ts';
import { forEachInParallel } from './parallel.ts';

/** How many requests are created at a time. */
const CREATORS = 16;
const POLL_MS = 50;

export function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, at) => `request-${at}`);
}

export async function createApproved(
  cluster: Cluster,
  namespace: string,
  names: readonly string[],
  issuerRef: object = { kind: 'Issuer', name: 'ca' },
): Promise<void> {
  await forEachInParallel(names, CREATORS, async (name) => {
    await createRequest(cluster, { namespace, name, issuerRef });
    await judgeRequest(cluster, { namespace, name }, 'Approved');
  });
}

/** Waits until all of so many requests of the namespace are issued, and gives them; none may fail. */
export async function waitForAll(
  cluster: Cluster,
  namespace: string,
  count: number,
  withinMs = 60_000,
): Promise<readonly CertificateRequest[]> {
  for (const endMs = performance.now() + withinMs; ; await sleep(POLL_MS)) {
    const { items } = await cluster.client.list<CertificateRequest>(CERTIFICATE_REQUESTS, { namespace });
    const reasons = items.map((request) => readyOf(request)?.reason ?? 'none');
    assert.equal(reasons.includes('Failed'), false, `a request of ${namespace} has failed`);
    const issued = reasons.filter((reason) => reason === 'Issued').length;
    if (issued === count) return items;
    if (performance.now() > endMs) assert.fail(`${issued} of ${count} are issued after ${withinMs / 1000} s`);
  }
}
