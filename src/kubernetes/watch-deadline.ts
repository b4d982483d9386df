/** Aborts a watch that has been silent, or has lasted, for too long; and with its parent's signal. */
import type { Clock } from '../platform/index.ts';
import { onAbort } from './wait.ts';

/** Two bookmarks, which come every minute, have been missed. */
const MAX_SILENCE_MS = 150_000;

export class WatchDeadline {
  hasPassed = false;
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #unlink: () => void;
  readonly #endMs: number;
  #lastSignMs: number;
  #cancel: () => void = () => {};

  constructor(clock: Clock, parent: AbortSignal, durationMs: number) {
    this.#clock = clock;
    this.#unlink = onAbort(parent, (reason) => this.#controller.abort(reason));
    this.#lastSignMs = clock.monotonicMs();
    this.#endMs = this.#lastSignMs + durationMs;
    this.#arm();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  onSignOfLife(): void {
    this.#lastSignMs = this.#clock.monotonicMs();
  }

  end(): void {
    this.#cancel();
    this.#unlink();
  }

  /** One timer for both limits: it looks again when the nearer one would be reached. */
  #arm(): void {
    const nowMs = this.#clock.monotonicMs();
    const limitMs = Math.min(this.#endMs, this.#lastSignMs + MAX_SILENCE_MS);
    if (nowMs < limitMs) {
      this.#cancel = this.#clock.schedule(limitMs - nowMs, () => this.#arm());
      return;
    }
    this.hasPassed = true;
    this.#controller.abort(new Error('The watch is silent or late'));
  }
}
