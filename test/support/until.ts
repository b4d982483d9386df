/** The wait for something that nobody tells of. */
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 5;

/** Looks until it is true. @throws Error that says what it waited for, when that takes too long */
export async function until(what: string, isTrue: () => boolean, withinMs = 30_000): Promise<void> {
  for (const endMs = performance.now() + withinMs; !isTrue(); await sleep(POLL_MS)) {
    if (performance.now() > endMs) throw new Error(`Still not after ${withinMs / 1000} s: ${what}`);
  }
}
