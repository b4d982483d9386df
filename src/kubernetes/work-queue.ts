/**
 * A queue of keys to work on (client-go `util/workqueue`). It guarantees:
 * - stingy: a key that is added many times before it is taken is worked on once;
 * - exclusive: a key is never with two workers; if it is added while one has it, it comes round once more after that;
 * - fair: keys are taken in the order they came, in turns between the groups that `groupOf` puts them in, and no group
 *   has more than `maxPerGroup` keys with workers, so that many or slow keys of one group never hold up another group;
 * - delayed and rate-limited additions: the earliest time asked for a key counts.
 */
import { backoffMs, type Clock, type Registry } from '../platform/index.ts';
import { DelayHeap } from './delay-heap.ts';
import { Fifo } from './fifo.ts';
import { onAbort } from './wait.ts';
import { WorkQueueMetrics } from './work-queue-metrics.ts';

export interface WorkQueueDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly registry: Registry;
}

export interface WorkQueueOptions {
  /** Label of the queue's metrics. */
  readonly name: string;
  /** The group that a key takes turns in. Asked when the key becomes ready. Default: all keys in one. */
  readonly groupOf?: (key: string) => string;
  /** How many keys of one group workers may have at a time. Default: any number. */
  readonly maxPerGroup?: number;
  /** Pause after the first failure of a key. Default: 5 ms, as client-go. */
  readonly baseDelayMs?: number;
  /** Longest pause before jitter. Default: 5 min. */
  readonly maxDelayMs?: number;
  /** A pause grows by a random share of itself, up to this factor. Default: 0.2. */
  readonly jitter?: number;
}

interface Group {
  readonly name: string;
  readonly ready: Fifo<string>;
  /** How many of its keys workers have. */
  running: number;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #metrics: WorkQueueMetrics;
  readonly #groupOf: (key: string) => string;
  readonly #maxPerGroup: number;
  readonly #backoff: { readonly baseMs: number; readonly maxMs: number; readonly jitter: number };

  /** Keys that are to be worked on. */
  readonly #dirty = new Set<string>();
  /** Keys that a worker has, and the group that each was taken from. A key in both sets is made ready again by `done`. */
  readonly #processing = new Map<string, Group>();
  /** Those with ready or running keys. Invariant: their ready keys are the dirty ones not being processed, each once. */
  readonly #groups = new Map<string, Group>();
  /** Invariant: holds each group that has a ready key and may run one more, exactly once, in the order of their turns. */
  readonly #turns = new Fifo<Group>();
  #depth = 0;

  readonly #delayed = new DelayHeap();
  #timer: { readonly dueMs: number; readonly cancel: () => void } | undefined;
  readonly #failures = new Map<string, number>();
  /** Callers of `next` that wait, in order. Invariant: empty while a key may be taken. */
  readonly #waiting = new Set<(key: string | undefined) => void>();
  #isShutDown = false;
  readonly #drained = Promise.withResolvers<void>();

  constructor({ clock, random, registry }: WorkQueueDeps, options: WorkQueueOptions) {
    const { name, groupOf = () => '', maxPerGroup = Number.POSITIVE_INFINITY } = options;
    const { baseDelayMs = 5, maxDelayMs = 300_000, jitter = 0.2 } = options;
    this.#clock = clock;
    this.#random = random;
    this.#groupOf = groupOf;
    this.#maxPerGroup = maxPerGroup;
    this.#backoff = { baseMs: baseDelayMs, maxMs: maxDelayMs, jitter };
    this.#metrics = new WorkQueueMetrics({ clock, registry }, name);
  }

  /** Keys that are ready to be taken. */
  get depth(): number {
    return this.#depth;
  }

  /** Keys that workers have. */
  get inProgress(): number {
    return this.#processing.size;
  }

  /** Has the key worked on as soon as there is a worker. */
  add(key: string): void {
    if (this.#isShutDown || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    this.#metrics.onAdd(key);
    if (!this.#processing.has(key)) this.#makeReady(key);
  }

  /** Adds the key once the delay has passed, or earlier if an earlier time was asked for. */
  addAfter(key: string, delayMs: number): void {
    if (this.#isShutDown) return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    this.#metrics.onRetry();
    this.#delayed.add(key, this.#clock.monotonicMs() + delayMs);
    this.#armTimer();
  }

  /** Adds the key after a pause that grows with each call since the last `forget`. */
  addRateLimited(key: string): void {
    const failures = this.failures(key) + 1;
    this.#failures.set(key, failures);
    this.addAfter(key, backoffMs(failures, this.#backoff, this.#random));
  }

  /** The key has been dealt with: its next failure is a first one. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** How often the key was added rate-limited since the last `forget`. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** The next key, which is the caller's until it calls `done`; undefined when the queue is shut down or the signal aborts. */
  async next(signal?: AbortSignal): Promise<string | undefined> {
    if (this.#isShutDown || signal?.aborted) return undefined;
    const key = this.#takeReady();
    if (key !== undefined) return key;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.add(resolve);
    const unlink = onAbort(signal, () => {
      if (this.#waiting.delete(resolve)) resolve(undefined);
    });
    return await promise.finally(unlink);
  }

  /** Gives a key back; it becomes ready if it was added in the meantime. */
  done(key: string): void {
    const group = this.#processing.get(key);
    if (group === undefined) return;
    this.#processing.delete(key);
    this.#metrics.onDone(key);
    group.running--;
    const wasHeld = group.running === this.#maxPerGroup - 1 && group.ready.length > 0;
    if (wasHeld) this.#turns.push(group);
    if (group.running === 0 && group.ready.length === 0) this.#groups.delete(group.name);
    if (this.#dirty.has(key)) this.#makeReady(key);
    else this.#serveWaiting();
    if (this.#isShutDown && this.#processing.size === 0) this.#drained.resolve();
  }

  /** Hands out no more keys and takes none. What workers have, they may finish. */
  shutDown(): void {
    if (this.#isShutDown) return;
    this.#isShutDown = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#delayed.clear();
    for (const resolve of this.#waiting) resolve(undefined);
    this.#waiting.clear();
    if (this.#processing.size === 0) this.#drained.resolve();
  }

  /** Shuts down and waits until every key that was handed out has been given back. */
  async drain(): Promise<void> {
    this.shutDown();
    await this.#drained.promise;
  }

  #makeReady(key: string): void {
    const name = this.#groupOf(key);
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = { name, ready: new Fifo(), running: 0 };
      this.#groups.set(name, group);
    }
    group.ready.push(key);
    if (group.ready.length === 1 && group.running < this.#maxPerGroup) this.#turns.push(group);
    this.#depth++;
    this.#metrics.setDepth(this.#depth);
    this.#serveWaiting();
  }

  #serveWaiting(): void {
    for (const waiting of this.#waiting) {
      const key = this.#takeReady();
      if (key === undefined) return;
      this.#waiting.delete(waiting);
      waiting(key);
    }
  }

  #takeReady(): string | undefined {
    const group = this.#turns.shift();
    const key = group?.ready.shift();
    if (group === undefined || key === undefined) return undefined;
    group.running++;
    if (group.ready.length > 0 && group.running < this.#maxPerGroup) this.#turns.push(group);
    this.#depth--;
    this.#dirty.delete(key);
    this.#processing.set(key, group);
    this.#metrics.setDepth(this.#depth);
    this.#metrics.onTake(key);
    return key;
  }

  #armTimer(): void {
    const dueMs = this.#delayed.nextDueMs;
    if (dueMs === undefined || (this.#timer !== undefined && this.#timer.dueMs <= dueMs)) return;
    this.#timer?.cancel();
    const cancel = this.#clock.schedule(Math.max(0, dueMs - this.#clock.monotonicMs()), () => {
      this.#timer = undefined;
      const nowMs = this.#clock.monotonicMs();
      for (let key = this.#delayed.take(nowMs); key !== undefined; key = this.#delayed.take(nowMs)) this.add(key);
      this.#armTimer();
    });
    this.#timer = { dueMs, cancel };
  }
}
