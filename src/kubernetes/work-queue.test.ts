import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock, settle } from '../../test/support/manual-clock.ts';
import { Registry } from '../platform/index.ts';
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts';

function createQueue(options: Partial<WorkQueueOptions> = {}) {
  const clock = new ManualClock();
  const registry = new Registry();
  const queue = new WorkQueue({ clock, registry, random: () => 0 }, { name: 'q', baseDelayMs: 1000, ...options });
  return { clock, registry, queue };
}

async function takeAll(queue: WorkQueue): Promise<string[]> {
  const taken: string[] = [];
  while (queue.depth > 0) taken.push((await queue.next()) ?? '');
  return taken;
}

describe('WorkQueue', () => {
  test('add() of a key that is queued already queues it once', async () => {
    const { queue } = createQueue();
    for (const key of ['a', 'b', 'a', 'a']) queue.add(key);
    assert.deepEqual(await takeAll(queue), ['a', 'b']);
  });

  test('add() during processing runs the key once more, after done()', async () => {
    const { queue } = createQueue();
    queue.add('a');
    assert.equal(await queue.next(), 'a');
    queue.add('a');
    queue.add('a');
    assert.equal(queue.depth, 0);
    queue.done('a');
    assert.deepEqual(await takeAll(queue), ['a']);
    queue.done('a');
    assert.equal(queue.depth, 0);
  });

  test('next() waits for a key, in the order of the callers', async () => {
    const { queue } = createQueue();
    const both = Promise.all([queue.next(), queue.next()]);
    queue.add('a');
    queue.add('b');
    assert.deepEqual(await both, ['a', 'b']);
  });

  test('next() gives up when its signal aborts, and the key goes to the next caller', async () => {
    const { queue } = createQueue();
    const stop = new AbortController();
    const first = queue.next(stop.signal);
    const second = queue.next();
    stop.abort();
    queue.add('a');
    assert.deepEqual(await Promise.all([first, second]), [undefined, 'a']);
  });

  test('groups take turns, whatever the number of their keys', async () => {
    const { queue } = createQueue({ groupOf: (key) => key.slice(0, 1) });
    for (const key of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) queue.add(key);
    assert.deepEqual(await takeAll(queue), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  test('a group at its limit is passed over, and has its turn when a key of it is done', async () => {
    const { queue } = createQueue({ groupOf: (key) => key.slice(0, 1), maxPerGroup: 2 });
    for (const key of ['a1', 'a2', 'a3', 'b1']) queue.add(key);
    assert.deepEqual([await queue.next(), await queue.next(), await queue.next()], ['a1', 'b1', 'a2']);
    const waiting = queue.next();
    assert.equal(queue.depth, 1);
    queue.done('b1');
    queue.add('b2');
    assert.equal(await waiting, 'b2');
    const last = queue.next();
    queue.done('a1');
    assert.equal(await last, 'a3');
  });

  test('addAfter() adds at the earliest time asked for, and leaves no timer', async () => {
    const { clock, queue } = createQueue();
    queue.addAfter('late', 5000);
    queue.addAfter('a', 3000);
    queue.addAfter('a', 1000);
    queue.addAfter('a', 2000);
    await clock.advance(999);
    assert.equal(queue.depth, 0);
    await clock.advance(1);
    assert.deepEqual(await takeAll(queue), ['a']);
    queue.done('a');
    await clock.advance(3999);
    assert.equal(queue.depth, 0);
    await clock.advance(1);
    assert.deepEqual(await takeAll(queue), ['late']);
    assert.equal(clock.pendingTimers, 0);
  });

  test('addRateLimited() doubles the pause up to the cap, and forget() starts over', async () => {
    const { clock, queue } = createQueue({ maxDelayMs: 3000 });
    const pauses: number[] = [];
    for (let i = 0; i < 4; i++) {
      queue.addRateLimited('a');
      const startMs = clock.monotonicMs();
      while (queue.depth === 0) await clock.advance(500);
      pauses.push(clock.monotonicMs() - startMs);
      queue.done((await queue.next()) ?? '');
    }
    assert.deepEqual(pauses, [1000, 2000, 3000, 3000]);
    assert.equal(queue.failures('a'), 4);
    queue.forget('a');
    queue.addRateLimited('a');
    await clock.advance(1000);
    assert.equal(queue.depth, 1);
  });

  test('shutDown() hands out nothing more and leaves no timer', async () => {
    const { clock, queue } = createQueue();
    const waiting = queue.next();
    queue.addAfter('later', 1000);
    queue.shutDown();
    queue.add('a');
    queue.addAfter('b', 1000);
    assert.deepEqual(await Promise.all([waiting, queue.next()]), [undefined, undefined]);
    assert.equal(clock.pendingTimers, 0);
  });

  test('drain() waits for the keys that workers have', async () => {
    const { queue } = createQueue();
    queue.add('a');
    await queue.next();
    let isDrained = false;
    const drained = queue.drain().then(() => {
      isDrained = true;
    });
    await settle();
    assert.equal(isDrained, false);
    queue.done('a');
    await drained;
  });

  test('metrics carry client-go names and measure running work when they are read', async () => {
    const { clock, queue, registry } = createQueue();
    queue.add('a');
    queue.add('b');
    await clock.advance(2000);
    await queue.next();
    await clock.advance(3000);
    const text = await registry.metrics();
    for (const line of [
      'workqueue_depth{name="q"} 1',
      'workqueue_adds_total{name="q"} 2',
      'workqueue_queue_duration_seconds_sum{name="q"} 2',
      'workqueue_unfinished_work_seconds{name="q"} 3',
      'workqueue_longest_running_processor_seconds{name="q"} 3',
      'workqueue_retries_total{name="q"} 0',
      'workqueue_work_duration_seconds_count{name="q"} 0',
    ]) {
      assert.ok(text.split('\n').includes(line), `missing ${line}`);
    }
  });

  test('two queues on one registry keep their numbers apart', async () => {
    const { clock, queue, registry } = createQueue();
    const other = new WorkQueue({ clock, registry, random: () => 0 }, { name: 'other' });
    queue.add('a');
    other.add('a');
    await Promise.all([queue.next(), other.next()]);
    await clock.advance(1000);
    const text = await registry.metrics();
    assert.match(text, /workqueue_unfinished_work_seconds\{name="q"\} 1\n/);
    assert.match(text, /workqueue_unfinished_work_seconds\{name="other"\} 1\n/);
  });
});

/** One step of a random history; `pick` chooses among the keys that workers have. */
const step = fc.oneof(
  fc.record({ do: fc.constant('add' as const), key: fc.constantFrom('a1', 'a2', 'a3', 'b1', 'b2', 'c1') }),
  fc.record({ do: fc.constant('addAfter' as const), key: fc.constantFrom('a1', 'a2', 'b1'), delayMs: fc.nat(50) }),
  fc.record({ do: fc.constant('fail' as const), pick: fc.nat(9) }),
  fc.record({ do: fc.constant('done' as const), pick: fc.nat(9) }),
  fc.record({ do: fc.constant('take' as const) }),
  fc.record({ do: fc.constant('advance' as const), delayMs: fc.nat(60) }),
);

describe('WorkQueue, any history of calls', () => {
  test('no key is with two workers, none is lost, none comes without cause, no group waits longer than a round', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 2, 9), async (steps, maxPerGroup) => {
        const { clock, queue } = createQueue({ groupOf: (key) => key.slice(0, 1), maxPerGroup, baseDelayMs: 10 });
        const held: string[] = [];
        /** Key → it was added, and has not been taken since. */
        const owed = new Set<string>();
        /** Key → when it is due. The model: a plain map, looked through each time. */
        const delayed = new Map<string, number>();
        /** Group → how many keys of other groups were taken while it had one ready. */
        const passedOver = new Map<string, Map<string, number>>();

        const add = (key: string): void => {
          queue.add(key);
          owed.add(key);
        };
        const addAfter = (key: string, delayMs: number): void => {
          if (delayMs <= 0) {
            owed.add(key);
            return;
          }
          delayed.set(key, Math.min(delayed.get(key) ?? Number.POSITIVE_INFINITY, clock.monotonicMs() + delayMs));
        };
        const isReady = (key: string): boolean => owed.has(key) && !held.includes(key);
        const mayRun = (key: string): boolean => held.filter((other) => other[0] === key[0]).length < maxPerGroup;
        const take = async (): Promise<void> => {
          assert.equal(queue.depth, [...owed].filter(isReady).length);
          const readyGroups = new Set(
            [...owed].filter((key) => isReady(key) && mayRun(key)).map((key) => key.slice(0, 1)),
          );
          if (readyGroups.size === 0) return;
          const key = (await queue.next()) ?? '';
          assert.ok(!held.includes(key), 'a key is with two workers');
          assert.ok(mayRun(key), 'a group has more keys with workers than it may');
          assert.ok(owed.delete(key), 'a key came without cause');
          held.push(key);
          const group = key.slice(0, 1);
          passedOver.delete(group);
          for (const other of readyGroups) {
            if (other === group) continue;
            const counts = passedOver.get(other) ?? new Map<string, number>();
            counts.set(group, (counts.get(group) ?? 0) + 1);
            passedOver.set(other, counts);
            assert.ok((counts.get(group) ?? 0) <= 1, 'a group had two turns while another waited');
          }
        };
        const release = (pick: number, isFailure: boolean): void => {
          const key = held.splice(pick % held.length, 1)[0];
          if (key === undefined) return;
          if (isFailure) {
            addAfter(key, 10 * 2 ** queue.failures(key));
            queue.addRateLimited(key);
          } else {
            queue.forget(key);
          }
          queue.done(key);
        };
        const advance = async (delayMs: number): Promise<void> => {
          await clock.advance(delayMs);
          for (const [key, dueMs] of delayed) {
            if (dueMs > clock.monotonicMs()) continue;
            delayed.delete(key);
            owed.add(key);
          }
        };

        for (const one of steps) {
          if (one.do === 'add') add(one.key);
          else if (one.do === 'addAfter') {
            queue.addAfter(one.key, one.delayMs);
            addAfter(one.key, one.delayMs);
          } else if (one.do === 'take') await take();
          else if (one.do === 'advance') await advance(one.delayMs);
          else if (held.length > 0) release(one.pick, one.do === 'fail');
        }
        while (held.length > 0) release(0, false);
        await advance(1_000_000);
        while (queue.depth > 0) {
          await take();
          release(0, false);
        }
        assert.deepEqual([...owed], [], 'a key was lost');
        assert.equal(clock.pendingTimers, 0);
      }),
      { numRuns: 300 },
    );
  });
});
