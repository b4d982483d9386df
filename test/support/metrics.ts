/** What a process of ours says about itself: its metrics, and the memory that it has. */
import { readFileSync } from 'node:fs';
import type { IssuerProcess } from '../../tools/issuer-process.ts';

/** The sum of a metric over all series whose labels, as text, have all of these in them. */
export async function readMetric(
  { metricsUrl }: Pick<IssuerProcess, 'metricsUrl'>,
  name: string,
  ...labels: readonly string[]
): Promise<number> {
  const text = await (await fetch(`${metricsUrl}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}

/** Writes to the API server so far: statuses are PATCHes, events POSTs. */
export function countWrites(issuer: IssuerProcess, method: 'PATCH' | 'POST'): Promise<number> {
  return readMetric(issuer, 'rest_client_requests_total', `method="${method}"`);
}

/** Resident memory of a process, in MiB. */
export function residentMiB(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1024);
}
