/**
 * Takes keys from a queue and has each reconciled, by several workers at a time (controller-runtime
 * `pkg/internal/controller`). What follows from the end of a reconcile is decided in one place, `#settle`.
 * Nothing that a reconcile does escapes: every failure is logged and counted, and leads to another try.
 */
import { type Clock, errorFields, type Logger, type Registry, withTimeout } from '../platform/index.ts';
import { sharedCounter, sharedGauge, sharedHistogram } from './metrics.ts';
import type { WorkQueue } from './work-queue.ts';

/** Nothing further is to be done; or the key is to be looked at again after that time. */
export type ReconcileResult = undefined | { readonly requeueAfterMs: number };

/** Brings the object of that key closer to what is wanted. Must heed the signal. */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<ReconcileResult | void>;

export interface ControllerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
}

export interface ControllerOptions {
  /** Label of the metrics, and in log lines. */
  readonly name: string;
  readonly queue: WorkQueue;
  /** How many keys are reconciled at a time, stalled ones not counted. */
  readonly workers: number;
  /**
   * A reconcile that lasts longer is stalled: it waits for somebody slow, and another worker takes its place, so that the
   * slow never hold up the rest. Default: never.
   */
  readonly stallAfterMs?: number;
  /** How many may be stalled at a time. Default: 256. */
  readonly maxStalled?: number;
  readonly reconcile: Reconcile;
  /** Deadline of one reconcile, through its signal. */
  readonly timeoutMs: number;
  /** What to wait for before the first key is taken, usually the reflectors' `synced`. */
  readonly synced?: (signal: AbortSignal) => Promise<void>;
}

interface WorkerOptions {
  readonly stop: AbortSignal;
  readonly abort: AbortSignal | undefined;
  readonly startWorker: () => void;
}

/** An error that trying again will not mend: the key is left alone until something changes. */
export class TerminalError extends Error {
  override readonly name = 'TerminalError';
}

const DURATION_BUCKETS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2,
  2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];
const RESULTS = ['success', 'error', 'requeue_after'] as const;

export class Controller {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #options: ControllerOptions;
  readonly #total;
  readonly #errors;
  readonly #terminalErrors;
  readonly #seconds;
  readonly #active;
  /** Reconciles whose worker's place was taken. */
  #stalled = 0;

  constructor({ clock, log, registry }: ControllerDeps, options: ControllerOptions) {
    const { name, workers } = options;
    this.#clock = clock;
    this.#log = log.child({ controller: name });
    this.#options = options;
    const labels = ['controller'] as const;
    const prefix = 'controller_runtime_';
    const total = sharedCounter(
      registry,
      `${prefix}reconcile_total`,
      'Total number of reconciliations per controller',
      ['controller', 'result'],
    );
    this.#total = total;
    const errors = 'Total number of reconciliation errors per controller';
    this.#errors = sharedCounter(registry, `${prefix}reconcile_errors_total`, errors, labels).labels(name);
    const terminal = 'Total number of terminal reconciliation errors per controller';
    this.#terminalErrors = sharedCounter(registry, `${prefix}terminal_reconcile_errors_total`, terminal, labels).labels(
      name,
    );
    const seconds = 'Length of time per reconciliation per controller';
    const histogram = { labels, buckets: DURATION_BUCKETS };
    this.#seconds = sharedHistogram(registry, `${prefix}reconcile_time_seconds`, seconds, histogram).labels(name);
    const active = 'Number of currently used workers per controller';
    this.#active = sharedGauge(registry, `${prefix}active_workers`, active, labels).labels(name);
    const most = 'Maximum number of concurrent reconciles per controller';
    sharedGauge(registry, `${prefix}max_concurrent_reconciles`, most, labels).labels(name).set(workers);
    // All series from the start, so that a rate over them misses nothing.
    for (const result of RESULTS) total.inc({ controller: name, result }, 0);
    for (const counter of [this.#errors, this.#terminalErrors]) counter.inc(0);
    this.#active.set(0);
  }

  /**
   * Works until `stop` aborts, then takes no more keys and resolves once the reconciles under way have ended; those are
   * told to end at once when `abort` aborts. Shuts the queue down. Never rejects.
   */
  async run(stop: AbortSignal, abort?: AbortSignal): Promise<void> {
    const { queue, workers, synced } = this.#options;
    try {
      await synced?.(stop);
    } catch (error) {
      if (!stop.aborted) this.#log.error(errorFields(error), 'Waiting for sync failed');
      queue.shutDown();
      return;
    }
    this.#log.info({ workers }, 'Starting workers');
    const running = new Set<Promise<void>>();
    const startWorker = (): void => {
      const worker: Promise<void> = this.#work({ stop, abort, startWorker }).finally(() => running.delete(worker));
      running.add(worker);
    };
    for (let started = 0; started < workers; started++) startWorker();
    while (running.size > 0) await Promise.race(running);
    await queue.drain();
    this.#log.info({}, 'All workers have finished');
  }

  async #work({ stop, abort, startWorker }: WorkerOptions): Promise<void> {
    const { queue } = this.#options;
    for (let key = await queue.next(stop); key !== undefined; key = await queue.next(stop)) {
      const place = this.#watchForStall(startWorker);
      try {
        await this.#process(key, abort);
      } finally {
        queue.done(key);
        place.leave();
      }
      if (place.wasTaken) return;
    }
  }

  /** Has another worker take this one's place if it stalls; then this one ends with the key that it has. */
  #watchForStall(startWorker: () => void): { readonly wasTaken: boolean; leave(): void } {
    const { stallAfterMs, maxStalled = 256 } = this.#options;
    let wasTaken = false;
    const cancel =
      stallAfterMs === undefined
        ? undefined
        : this.#clock.schedule(stallAfterMs, () => {
            if (this.#stalled >= maxStalled) return;
            wasTaken = true;
            this.#stalled++;
            startWorker();
          });
    return {
      get wasTaken() {
        return wasTaken;
      },
      leave: () => {
        cancel?.();
        if (wasTaken) this.#stalled--;
      },
    };
  }

  async #process(key: string, abort: AbortSignal | undefined): Promise<void> {
    const { reconcile, timeoutMs } = this.#options;
    const startMs = this.#clock.monotonicMs();
    this.#active.inc();
    try {
      const result = await withTimeout(this.#clock, { timeoutMs, signal: abort }, (signal) => reconcile(key, signal));
      this.#settle(key, { result: result ?? undefined });
    } catch (error) {
      if (abort?.aborted) this.#log.info({ object: key, ...errorFields(error) }, 'Reconcile was aborted');
      else this.#settle(key, { error });
    } finally {
      this.#active.dec();
      this.#seconds.observe((this.#clock.monotonicMs() - startMs) / 1000);
    }
  }

  /** What follows from the end of a reconcile: done, again later, again after a pause, or never. */
  #settle(key: string, end: { readonly result: ReconcileResult } | { readonly error: unknown }): void {
    const { queue, name } = this.#options;
    if ('result' in end) {
      queue.forget(key);
      if (end.result === undefined) {
        this.#total.inc({ controller: name, result: 'success' });
        return;
      }
      this.#total.inc({ controller: name, result: 'requeue_after' });
      queue.addAfter(key, end.result.requeueAfterMs);
      return;
    }
    this.#total.inc({ controller: name, result: 'error' });
    this.#errors.inc();
    if (end.error instanceof TerminalError) {
      this.#terminalErrors.inc();
      queue.forget(key);
      this.#log.error({ object: key, ...errorFields(end.error) }, 'Reconcile failed for good');
      return;
    }
    queue.addRateLimited(key);
    const failures = queue.failures(key);
    this.#log.error({ object: key, failures, ...errorFields(end.error) }, 'Reconcile failed, trying again');
  }
}
