/** Exponential back-off with jitter, as a pure function of the number of failures so far. */

export interface BackoffOptions {
  /** Delay after the first failure. */
  readonly baseMs: number;
  /** Upper bound of a delay before jitter. */
  readonly maxMs: number;
  /** A delay grows by a random share of itself, up to this factor; 0 for none. */
  readonly jitter: number;
}

/** The delay before the next try after `failures` (at least 1) failures in a row; it doubles each time up to `maxMs`. */
export function backoffMs(failures: number, options: BackoffOptions, random: () => number): number {
  const doublings = Math.min(Math.max(failures, 1) - 1, 52);
  const delay = Math.min(options.baseMs * 2 ** doublings, options.maxMs);
  return Math.round(delay * (1 + options.jitter * random()));
}
