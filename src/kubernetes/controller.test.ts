import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock, settle } from '../../test/support/manual-clock.ts';
import { Registry } from '../platform/index.ts';
import { Controller, type ControllerOptions, type Reconcile, TerminalError } from './controller.ts';
import { hang, LogDouble } from './testing/test-support.ts';
import { WorkQueue } from './work-queue.ts';

function start(reconcile: Reconcile, options: Partial<ControllerOptions> = {}) {
  const clock = new ManualClock();
  const registry = new Registry();
  const log = new LogDouble();
  const queue = new WorkQueue({ clock, registry, random: () => 0 }, { name: 'c', baseDelayMs: 1000 });
  const controller = new Controller(
    { clock, log, registry },
    { name: 'c', queue, workers: 2, timeoutMs: 5000, reconcile, ...options },
  );
  const stop = new AbortController();
  const abort = new AbortController();
  const running = controller.run(stop.signal, abort.signal);
  const metric = async (name: string): Promise<number> => {
    const line = (await registry.metrics()).split('\n').find((text) => text.startsWith(`${name} `));
    return Number(line?.split(' ')[1]);
  };
  return { clock, queue, log, stop, abort, running, metric };
}

describe('Controller', () => {
  test('a reconcile that succeeds is counted and forgotten', async () => {
    const keys: string[] = [];
    const { clock, queue, stop, running, metric } = start((key) => {
      keys.push(key);
      return Promise.resolve();
    });
    queue.add('a');
    await clock.advance(0);
    stop.abort();
    await running;
    assert.deepEqual(keys, ['a']);
    assert.equal(await metric('controller_runtime_reconcile_total{controller="c",result="success"}'), 1);
    assert.equal(await metric('controller_runtime_reconcile_time_seconds_count{controller="c"}'), 1);
    assert.equal(await metric('controller_runtime_max_concurrent_reconciles{controller="c"}'), 2);
    assert.equal(clock.pendingTimers, 0);
  });

  test('no more than `workers` run at a time', async () => {
    const { clock, queue, stop, abort, running, metric } = start((_key, signal) => hang(signal));
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await clock.advance(0);
    assert.equal(queue.depth, 1);
    assert.equal(await metric('controller_runtime_active_workers{controller="c"}'), 2);
    stop.abort();
    abort.abort();
    await running;
    assert.equal(await metric('controller_runtime_active_workers{controller="c"}'), 0);
  });

  test('a reconcile that stalls has another worker take its place, and its own ends with it', async () => {
    const gates = new Map<string, () => void>();
    const done: string[] = [];
    const reconcile: Reconcile = async (key) => {
      if (key.startsWith('slow')) await new Promise<void>((resolve) => gates.set(key, resolve));
      done.push(key);
    };
    const { clock, queue, stop, running, metric } = start(reconcile, { workers: 1, stallAfterMs: 200, maxStalled: 2 });
    for (const key of ['slow1', 'quick1', 'slow2', 'slow3', 'quick2']) queue.add(key);
    await clock.advance(199);
    assert.deepEqual([done, queue.depth], [[], 4]);
    await clock.advance(1);
    assert.deepEqual([done, queue.depth], [['quick1'], 2]);
    await clock.advance(200);
    assert.deepEqual([done, queue.depth], [['quick1'], 1], 'slow3 runs; two are stalled, which is the limit');
    await clock.advance(1000);
    assert.equal(await metric('controller_runtime_active_workers{controller="c"}'), 3);
    gates.get('slow1')?.();
    gates.get('slow3')?.();
    await clock.advance(0);
    assert.deepEqual(done, ['quick1', 'slow1', 'slow3', 'quick2']);
    gates.get('slow2')?.();
    await clock.advance(0);
    stop.abort();
    await running;
    assert.equal(clock.pendingTimers, 0);
  });

  test('an error, thrown early or late, leads to another try after a growing pause', async () => {
    const times: number[] = [];
    const { clock, queue, stop, running, metric, log } = start(() => {
      times.push(clock.monotonicMs());
      if (times.length === 1) throw new Error('Thrown before the first await');
      return times.length < 4 ? Promise.reject(new Error('Rejected')) : Promise.resolve();
    });
    queue.add('a');
    await clock.advance(60_000);
    assert.deepEqual(times, [0, 1000, 3000, 7000]);
    assert.equal(queue.failures('a'), 0);
    assert.equal(await metric('controller_runtime_reconcile_errors_total{controller="c"}'), 3);
    assert.equal(log.lines.filter((line) => line === 'error Reconcile failed, trying again').length, 3);
    stop.abort();
    await running;
  });

  test('requeueAfterMs is kept, and is no failure', async () => {
    const times: number[] = [];
    const { clock, queue, stop, running, metric } = start(() => {
      times.push(clock.monotonicMs());
      return Promise.resolve({ requeueAfterMs: 30_000 });
    });
    queue.add('a');
    await clock.advance(60_000);
    assert.deepEqual(times, [0, 30_000, 60_000]);
    assert.equal(await metric('controller_runtime_reconcile_total{controller="c",result="requeue_after"}'), 3);
    assert.equal(await metric('controller_runtime_reconcile_errors_total{controller="c"}'), 0);
    stop.abort();
    await running;
    assert.equal(clock.pendingTimers, 0);
  });

  test('a TerminalError is not tried again', async () => {
    let calls = 0;
    const { clock, queue, stop, running, metric } = start(() => {
      calls++;
      return Promise.reject(new TerminalError('Never'));
    });
    queue.add('a');
    await clock.advance(600_000);
    assert.equal(calls, 1);
    assert.equal(await metric('controller_runtime_terminal_reconcile_errors_total{controller="c"}'), 1);
    stop.abort();
    await running;
  });

  test('a reconcile is ended at its deadline, and that is a failure', async () => {
    const { clock, queue, stop, abort, running } = start((_key, signal) => hang(signal));
    queue.add('a');
    await clock.advance(4999);
    assert.equal(queue.failures('a'), 0);
    await clock.advance(1);
    assert.equal(queue.failures('a'), 1);
    stop.abort();
    abort.abort();
    await running;
  });

  test('works on nothing before the caches are synced', async () => {
    const synced = Promise.withResolvers<void>();
    const keys: string[] = [];
    const reconcile: Reconcile = (key) => {
      keys.push(key);
      return Promise.resolve();
    };
    const { clock, queue, stop, running } = start(reconcile, { synced: () => synced.promise });
    queue.add('a');
    await clock.advance(1000);
    assert.deepEqual(keys, []);
    synced.resolve();
    await settle();
    assert.deepEqual(keys, ['a']);
    stop.abort();
    await running;
  });

  test('a stop before the caches are synced ends the run', async () => {
    const { stop, running, queue } = start(() => Promise.resolve(), { synced: hang });
    queue.add('a');
    stop.abort(new Error('Stop'));
    await running;
  });

  test('stop: what is in flight ends by itself, and nothing else is begun', async () => {
    const ends = new Map<string, () => void>();
    const { clock, queue, stop, running } = start((key, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      signal.addEventListener('abort', () => reject(signal.reason as Error));
      ends.set(key, resolve);
      return promise;
    });
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await clock.advance(0);
    stop.abort();
    let isOver = false;
    void running.then(() => {
      isOver = true;
    });
    await clock.advance(1000);
    assert.deepEqual([...ends.keys()], ['a', 'b']);
    assert.equal(isOver, false);
    for (const end of ends.values()) end();
    await running;
    assert.deepEqual([...ends.keys()], ['a', 'b']);
    assert.equal(clock.pendingTimers, 0);
  });

  test('abort: what is in flight is told to end at once, and is not counted as failed', async () => {
    const reasons: unknown[] = [];
    const { clock, queue, stop, abort, running, metric } = start((_key, signal) =>
      hang(signal).catch((error: unknown) => {
        reasons.push(error);
        throw error;
      }),
    );
    queue.add('a');
    await clock.advance(0);
    stop.abort();
    await clock.advance(1000);
    assert.deepEqual(reasons, []);
    const reason = new Error('Time is up');
    abort.abort(reason);
    await running;
    assert.deepEqual(reasons, [reason]);
    assert.equal(await metric('controller_runtime_reconcile_errors_total{controller="c"}'), 0);
  });
});
