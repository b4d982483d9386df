/**
 * `node --expose-gc test/soak.ts [minutes] [seed]`: random faults, one after another, between the real API server and a
 * reflector with a controller, while objects are created, changed and deleted all the time. After each fault the store
 * has to equal the server within 10 s, at the end the controller has to have seen the last of every object, and memory
 * has to be flat. Default: 10 minutes. Prints its seed; the same seed makes the same faults.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, keyOf, WorkQueue } from '../src/kubernetes/index.ts';
import { openCluster } from '../tools/cluster.ts';
import { startControlPlane } from '../tools/servers/index.ts';
import { askKubectl, CountingClock, keepLog, Watcher, Writer } from './support/config-maps.ts';
import { FaultProxy, isList, isWatch } from './support/fault-proxy.ts';
import {
  answer,
  closedAfterEvent,
  closedAtOnce,
  closedBeforeEnd,
  closedTwice,
  cutWithinCharacter,
  duplicates,
  endsAfter,
  errorEvent,
  type Fault,
  halfLine,
  resetAfter,
  resetBefore,
  resetWithin,
  silentFrom,
  slow,
  tornCharacters,
} from './support/faults.ts';

const MIB = 1 << 20;
const NAMES = 300;
const WRITE_PAUSE_MS = 20;
const MAX_FAULT_MS = 6000;
/** How much the heap may grow from the first third of the time to the last. */
const MAX_GROWTH_MIB = 8;
/** Lists and watches, on average; without faults there is one in several minutes. */
const MAX_REQUESTS_A_SECOND = 3;

const [minutesText = '10', seedText = String(Date.now() % 1_000_000)] = process.argv.slice(2);
const minutes = Number(minutesText);
if (!(minutes > 0) || global.gc === undefined) {
  console.error('Usage: node --expose-gc test/soak.ts [minutes] [seed]');
  process.exit(2);
}
const gc = global.gc;
console.log(`soak of ${minutes} min, seed ${seedText}`);

/** Mulberry32. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const random = createRandom(Number(seedText));
const upTo = (limit: number): number => Math.floor(random() * limit);
const pick = <T>(choices: readonly T[]): T => choices[upTo(choices.length)] as T;

const anyAnswer: Readonly<Record<string, () => Fault>> = {
  'reset before': () => resetBefore,
  'reset within': () => resetWithin(upTo(50_000)),
  'reset after': () => resetAfter,
  silence: () => silentFrom(upTo(20_000)),
  'slow bytes': () => slow(1 + upTo(4096), upTo(5)),
  'torn characters': () => tornCharacters,
  'cut within a character': () => cutWithinCharacter,
  'ends early': () => endsAfter(upTo(50_000)),
  'half a line': () => halfLine,
  'status 401': () => answer(401),
  'status 410': () => answer(410),
  'status 429': () => answer(429, { headers: { 'retry-after': '1' } }),
  'status 500': () => answer(500),
  'status 503': () => answer(503),
};
const watchOnly: Readonly<Record<string, () => Fault>> = {
  'ERROR 410': () => errorEvent(410, 'Expired'),
  'ERROR 500': () => errorEvent(500, 'InternalError'),
  'closed at once': () => closedAtOnce,
  'closed after an event': () => closedAfterEvent,
  'closed before its end': () => closedBeforeEnd,
  'closed twice': () => closedTwice,
  duplicates: () => duplicates,
};

/** Makes one fault, lets it last, ends it; gives its name. */
async function makeFault(proxy: FaultProxy): Promise<string> {
  const durationMs = upTo(MAX_FAULT_MS);
  const kind = upTo(10);
  if (kind === 0) {
    await proxy.refuse();
    await sleep(durationMs);
    await proxy.accept();
    return 'refused';
  }
  if (kind === 1) {
    proxy.cut();
    await sleep(durationMs);
    proxy.mend();
    return 'cut';
  }
  const onWatch = random() < 0.6;
  const [name, create] = pick(Object.entries(onWatch ? { ...anyAnswer, ...watchOnly } : anyAnswer));
  const faults = [proxy.inject({ when: onWatch ? isWatch : isList, fault: create() })];
  // A list only comes when the place in the watch is lost.
  if (!onWatch) faults.push(proxy.inject({ when: isWatch, fault: errorEvent(410, 'Expired'), times: 1 }));
  if (random() < 0.7 || !onWatch) proxy.resetConnections();
  await sleep(durationMs);
  for (const fault of faults) fault.end();
  return `${onWatch ? 'watch' : 'list'}: ${name}`;
}

/** Creates, changes and deletes until told to pause. */
class Load {
  readonly #writer: Writer;
  readonly #names = new Set<string>();
  writes = 0;

  constructor(writer: Writer) {
    this.#writer = writer;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const name = `object-${upTo(NAMES)}`;
      if (!this.#names.has(name)) {
        await this.#writer.create(name);
        this.#names.add(name);
      } else if (random() < 0.3) {
        await this.#writer.delete(name);
        this.#names.delete(name);
      } else {
        await this.#writer.change(name, `${'✓'.repeat(upTo(200))}${this.writes}`);
      }
      this.writes++;
      await sleep(WRITE_PAUSE_MS);
    }
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

await using controlPlane = await startControlPlane();
const cluster = openCluster(controlPlane);
await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'soak' } });
const writer = new Writer(cluster.client, 'soak');
const load = new Load(writer);
await using proxy = await FaultProxy.start(controlPlane);
proxy.rewrite = (url) => url.replace('limit=500', 'limit=50');
await using watcher = new Watcher(proxy.config, { namespace: 'soak' });
const { reflector, registry } = watcher;

/** Key → the version that was reconciled last; undefined when it was gone. */
const reconciled = new Map<string, string | undefined>();
const clock = new CountingClock();
const queue = new WorkQueue({ clock, random: Math.random, registry }, { name: 'soak' });
reflector.subscribe(({ current, previous }) => queue.add(keyOf(current ?? previous)));
const controller = new Controller(
  { clock, log: keepLog().log, registry },
  {
    name: 'soak',
    queue,
    workers: 4,
    timeoutMs: 10_000,
    synced: (signal) => reflector.synced(signal),
    reconcile: async (key, signal) => {
      await sleep(Math.random() * 20, undefined, { signal });
      if (Math.random() < 0.05) throw new Error('Now and then it fails');
      reconciled.set(key, reflector.store.get(key)?.metadata.resourceVersion);
    },
  },
);
const stop = new AbortController();
const controlling = controller.run(stop.signal);

const startMs = performance.now();
const endMs = startMs + minutes * 60_000;
const heaps: number[] = [];
const seen = new Map<string, number>();
let requests = 0;
let longestMs = 0;
while (performance.now() < endMs) {
  const pause = new AbortController();
  const loading = load.run(pause.signal);
  await sleep(upTo(1500));
  const name = await makeFault(proxy);
  const overMs = performance.now();
  pause.abort();
  await loading;
  await watcher.converge(await writer.list(), 10_000);
  longestMs = Math.max(longestMs, performance.now() - overMs);
  seen.set(name, (seen.get(name) ?? 0) + 1);
  requests += proxy.requests.length;
  proxy.requests.length = 0;
  watcher.failures.length = 0;
  gc();
  heaps.push(process.memoryUsage().heapUsed / MIB);
}

await watcher.converge(await askKubectl(controlPlane, 'soak'));
const isSettled = (): boolean =>
  [...reconciled].every(([key, version]) => reflector.store.get(key)?.metadata.resourceVersion === version) &&
  reflector.store.list().every((object) => reconciled.has(keyOf(object)));
for (let i = 0; i < 100 && !isSettled(); i++) await sleep(100);
assert.ok(isSettled(), 'The controller has not seen the last of every object');
stop.abort();
await controlling;
await watcher.end();
await proxy.idle();
assert.equal(clock.pendingTimers, 0, 'timers are left');

const third = Math.ceil(heaps.length / 3);
const [first, last] = [median(heaps.slice(0, third)), median(heaps.slice(-third))];
const perSecond = requests / ((performance.now() - startMs) / 1000);
console.log(`${[...seen.values()].reduce((a, b) => a + b, 0)} faults of ${seen.size} kinds, ${load.writes} writes`);
console.log(`store equal after each, ${Math.round(longestMs)} ms after the fault's end at the latest`);
console.log(`${requests} lists and watches, ${perSecond.toFixed(2)} a second`);
console.log(`heap ${first.toFixed(1)} MiB in the first third, ${last.toFixed(1)} MiB in the last`);
assert.ok(last - first < MAX_GROWTH_MIB, 'memory grows');
assert.ok(perSecond < MAX_REQUESTS_A_SECOND, 'too many requests');
await cluster.close();
