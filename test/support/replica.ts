/**
 * One replica, as a process of its own: takes part in the election, and while it leads does a piece of "work" every few
 * milliseconds, if `isLeader()` allows it. Each piece is a line `act <ms>` on standard output, with the time, on the
 * machine's monotonic clock, from before it asked. Ends on SIGTERM in good order, and when its parent has gone.
 *
 * Usage: node replica.ts <server> <ca file> <namespace> <lease> <identity> [<certificate file> <key file>]
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { createKubernetesClient, LeaderElector } from '../../src/kubernetes/index.ts';
import { createLogger, Registry, systemClock } from '../../src/platform/index.ts';

const ACT_PERIOD_MS = 5;

const [server = '', ca = '', namespace = '', name = '', identity = '', certificate, key] = process.argv.slice(2);
const say = (line: string): void => void writeSync(1, `${line}\n`); // At once: nothing said is lost in a kill.
const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

const clock = systemClock;
const log = createLogger({ level: 'info', encoding: 'json', write: (line) => say(`log ${line.trim()}`) });
const registry = new Registry();
const client = createKubernetesClient(
  { clock, log, registry },
  {
    source: 'arguments',
    server,
    ca: { file: ca },
    authentication: { kind: 'none' },
    ...(certificate && key ? { clientCertificate: { certificate: { file: certificate }, key: { file: key } } } : {}),
  },
);
const elector = new LeaderElector({ client, clock, log, random: Math.random, registry }, { namespace, name, identity });

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort(new Error('SIGTERM')));
process.stdin.on('close', () => process.exit(2)).resume();

async function act(lost: AbortSignal): Promise<void> {
  const end = AbortSignal.any([lost, stop.signal]);
  while (!end.aborted) {
    const atMs = nowMs();
    if (elector.isLeader()) say(`act ${atMs}`);
    await sleep(ACT_PERIOD_MS);
  }
}

say('ready');
try {
  await elector.run(stop.signal, act);
  await client.close();
  process.exit(0);
} catch (error) {
  say(`error ${(error as Error).message}`);
  process.exit(1);
}
