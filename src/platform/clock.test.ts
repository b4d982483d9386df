import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { systemClock, TimeoutError, withTimeout } from './clock.ts';

const HOUR_MS = 3_600_000;
const stopped = new Error('Stopped');

/** Timers that keep the process alive. Compared within one turn of the event loop, where nobody else sets any. */
function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

function countListeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}

describe('systemClock', () => {
  test('now() is the wall clock, in milliseconds since 1970', () => {
    const before = Date.now();
    const nowMs = systemClock.now();
    assert.ok(before <= nowMs && nowMs <= Date.now());
  });

  test('monotonicMs() never goes back', () => {
    const times = Array.from({ length: 1000 }, () => systemClock.monotonicMs());
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  test('schedule() runs the callback once', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let runs = 0;
    const cancel = systemClock.schedule(0, () => {
      runs += 1;
      resolve();
    });
    // schedule() keeps no process alive, so something else has to.
    await Promise.all([promise, systemClock.sleep(1)]);
    cancel();
    assert.equal(runs, 1);
  });

  test('schedule() does not run what was taken back', async () => {
    let runs = 0;
    const cancel = systemClock.schedule(0, () => {
      runs += 1;
    });
    cancel();
    await systemClock.sleep(1);
    assert.equal(runs, 0);
  });

  test('schedule() does not keep the process alive, sleep() does', async () => {
    const before = countTimers();
    const cancel = systemClock.schedule(HOUR_MS, () => {});
    assert.equal(countTimers(), before);
    cancel();
    const abort = new AbortController();
    const sleep = systemClock.sleep(HOUR_MS, { signal: abort.signal });
    assert.equal(countTimers(), before + 1);
    abort.abort(stopped);
    assert.equal(countTimers(), before);
    await assert.rejects(sleep, stopped);
  });

  test('schedule() keeps a delay that is longer than a timer takes', async () => {
    let runs = 0;
    const cancel = systemClock.schedule(2 ** 31, () => {
      runs += 1;
    });
    await systemClock.sleep(2);
    cancel();
    assert.equal(runs, 0);
  });

  test('sleep() keeps a duration that is longer than a timer takes', async () => {
    const abort = new AbortController();
    const sleep = systemClock.sleep(2 ** 31, { signal: abort.signal });
    await systemClock.sleep(2);
    abort.abort(stopped);
    await assert.rejects(sleep, stopped);
  });

  test('sleep() leaves no listener when it has ended', async () => {
    const { signal } = new AbortController();
    const sleep = systemClock.sleep(0, { signal });
    assert.equal(countListeners(signal), 1);
    await sleep;
    assert.equal(countListeners(signal), 0);
  });

  test('sleep() ends at once with the reason of an abort, and leaves neither timer nor listener', async () => {
    const before = countTimers();
    const abort = new AbortController();
    const sleep = systemClock.sleep(HOUR_MS, { signal: abort.signal });
    abort.abort(stopped);
    assert.equal(countTimers(), before);
    assert.equal(countListeners(abort.signal), 0);
    await assert.rejects(sleep, stopped);
  });

  test('sleep() does not begin when its signal has aborted', async () => {
    const before = countTimers();
    const signal = AbortSignal.abort(stopped);
    const sleep = systemClock.sleep(HOUR_MS, { signal });
    assert.equal(countTimers(), before);
    assert.equal(countListeners(signal), 0);
    await assert.rejects(sleep, stopped);
  });

  test('sleep() needs no signal', async () => {
    await systemClock.sleep(0);
  });
});

describe('withTimeout()', () => {
  /** Ends only by its signal, as every work under a deadline must. */
  const hang = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });

  test('gives what the work gives, and leaves neither timer nor listener', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const result = await withTimeout(clock, { timeoutMs: 1000, signal }, async (inner) => {
      assert.equal(inner.aborted, false);
      assert.equal(clock.pendingTimers, 1);
      return 'done';
    });
    assert.equal(result, 'done');
    assert.equal(clock.pendingTimers, 0);
    assert.equal(countListeners(signal), 0);
  });

  test('gives the error of the work, and leaves neither timer nor listener', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    const failure = new Error('Failed');
    await assert.rejects(
      withTimeout(clock, { timeoutMs: 1000, signal }, () => Promise.reject(failure)),
      failure,
    );
    assert.equal(clock.pendingTimers, 0);
    assert.equal(countListeners(signal), 0);
  });

  test('cleans up after work that throws before it waits', async () => {
    const clock = new ManualClock();
    const failure = new Error('Failed');
    await assert.rejects(
      withTimeout(clock, { timeoutMs: 1000 }, () => {
        throw failure;
      }),
      failure,
    );
    assert.equal(clock.pendingTimers, 0);
  });

  test('aborts the work with a TimeoutError at the deadline, and not before', async () => {
    const clock = new ManualClock();
    const { signal } = new AbortController();
    let inner: AbortSignal | undefined;
    const result = withTimeout(clock, { timeoutMs: 1000, signal }, (given) => {
      inner = given;
      return hang(given);
    });
    const rejected = assert.rejects(result, {
      name: 'TimeoutError',
      message: 'Not finished within 1000 ms',
      timeoutMs: 1000,
    });
    await clock.advance(999);
    assert.equal(inner?.aborted, false);
    await clock.advance(1);
    await rejected;
    assert.ok(inner?.reason instanceof TimeoutError);
    assert.equal(clock.pendingTimers, 0);
    assert.equal(countListeners(signal), 0);
  });

  test("aborts the work with the parent's reason", async () => {
    const clock = new ManualClock();
    const parent = new AbortController();
    const result = withTimeout(clock, { timeoutMs: 1000, signal: parent.signal }, hang);
    parent.abort(stopped);
    await assert.rejects(result, stopped);
    assert.equal(clock.pendingTimers, 0);
    assert.equal(countListeners(parent.signal), 0);
  });

  test('does not begin when the parent has aborted', async () => {
    const clock = new ManualClock();
    let began = false;
    const result = withTimeout(clock, { timeoutMs: 1000, signal: AbortSignal.abort(stopped) }, async () => {
      began = true;
    });
    await assert.rejects(result, stopped);
    assert.equal(began, false);
    assert.equal(clock.pendingTimers, 0);
  });

  test('gives the result of work that ends well although its time is over', async () => {
    const clock = new ManualClock();
    const { promise, resolve } = Promise.withResolvers<string>();
    const result = withTimeout(clock, { timeoutMs: 1000 }, () => promise);
    await clock.advance(2000);
    resolve('late');
    assert.equal(await result, 'late');
  });

  test('needs no parent', async () => {
    const clock = new ManualClock();
    const result = withTimeout(clock, { timeoutMs: 1, signal: undefined }, hang);
    const rejected = assert.rejects(result, { name: 'TimeoutError' });
    await clock.advance(1);
    await rejected;
  });
});
