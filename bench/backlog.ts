/**
 * `node bench/backlog.ts [requests] [flags of node ...]`: so many approved requests (2,000) wait when the issuer starts, on
 * the real API server and multirootca. Prints requests per second until the last one is issued, CPU of the process for each,
 * and its peak memory; once without and once with the flags, by default those of the image. Compare within one run.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { createApproved, numbered } from '../test/support/approved-requests.ts';
import { createNamespace, getServers, issuerManifests, readyOf } from '../test/support/environment.ts';
import { startIssuer } from '../tools/issuer-process.ts';
import { IMAGE_FLAGS } from './image-flags.ts';

const [count = '2000', ...flags] = process.argv.slice(2);
const COUNT = Number(count);
const FLAGS = flags.length === 0 ? IMAGE_FLAGS : flags;
const ROUNDS = 2;
const POLL_MS = 250;
/** `/proc` counts CPU in hundredths of a second. */
const TICK_MS = 10;

const { cluster, controlPlane, cfssl } = await getServers();

async function countIssued(namespace: string): Promise<number> {
  const options = { namespace, resourceVersion: '0' };
  const { items } = await cluster.client.list<CertificateRequest>(CERTIFICATE_REQUESTS, options);
  return items.filter((item) => readyOf(item)?.reason === 'Issued').length;
}

async function measure(nodeFlags: readonly string[]): Promise<void> {
  const namespace = await createNamespace(cluster, 'backlog');
  const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
  await cluster.create(secret);
  await cluster.create(issuer);
  await createApproved(cluster, namespace, numbered(COUNT));
  const startMs = performance.now();
  const program = join(import.meta.dirname, '../dist/main.mjs');
  await using running = await startIssuer({
    access: controlPlane,
    command: [process.execPath, ...nodeFlags, program],
  });
  while ((await countIssued(namespace)) < COUNT) await sleep(POLL_MS);
  const tookMs = performance.now() - startMs;
  const [, fields = ''] = readFileSync(`/proc/${running.pid}/stat`, 'utf8').split(') ');
  const [userTicks = 0, systemTicks = 0] = fields.split(' ').slice(11, 13).map(Number);
  const [, peakKib] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${running.pid}/status`, 'utf8')) ?? [];
  const figures = [
    `${Math.round(COUNT / (tookMs / 1000))} a second`,
    `${(((userTicks + systemTicks) * TICK_MS) / COUNT).toFixed(2)} ms of CPU each`,
    `peak ${Math.round(Number(peakKib) / 1024)} MiB`,
  ];
  console.log(`${nodeFlags.join(' ') || 'no flags'}: ${figures.join(', ')}`);
}

for (let round = 0; round < ROUNDS; round += 1) for (const variant of [[], FLAGS]) await measure(variant);
// What the environment started is stopped by a hook of the test runner, which does not run here; its guardian sees to it.
process.exit();
