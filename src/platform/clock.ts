/**
 * Time as a dependency: everything that waits, measures or stamps takes a `Clock`, so that tests step time by hand.
 * Durations are measured on the monotonic clock only; the wall clock is for what other machines read.
 * Every waiting call ends at once when its signal aborts, and leaves no timer and no listener behind.
 */

/** Takes back a scheduled callback; a no-op once it has run. */
export type Cancel = () => void;

export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch. May jump in either direction. */
  now(): number;
  /** Milliseconds since an arbitrary moment; never goes back. */
  monotonicMs(): number;
  /** Runs the callback once, `delayMs` from now. Does not keep the process alive by itself. */
  schedule(delayMs: number, callback: () => void): Cancel;
  /** Resolves after `durationMs`; rejects with the signal's reason when it aborts. Keeps the process alive. */
  sleep(durationMs: number, options?: { readonly signal?: AbortSignal }): Promise<void>;
}

/** The longest delay that Node's timers keep; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** The real clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const timer = setTimeout(callback, Math.min(delayMs, MAX_DELAY_MS)).unref();
    return () => clearTimeout(timer);
  },
  sleep(durationMs, { signal } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
        Math.min(durationMs, MAX_DELAY_MS),
      );
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  },
};

/** A deadline passed before the work under it ended. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super(`Not finished within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/**
 * Runs `work` under a deadline. Its signal aborts with a `TimeoutError` when the deadline passes, or with the parent's
 * reason when that aborts first. The work must heed its signal: the deadline ends the wait by aborting, not by racing.
 */
export async function withTimeout<T>(
  clock: Clock,
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { timeoutMs, signal: parent } = options;
  parent?.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(parent?.reason);
  parent?.addEventListener('abort', onAbort, { once: true });
  const cancel = clock.schedule(timeoutMs, () => controller.abort(new TimeoutError(timeoutMs)));
  try {
    return await work(controller.signal);
  } finally {
    cancel();
    parent?.removeEventListener('abort', onAbort);
  }
}
