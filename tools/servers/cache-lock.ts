// One holder at a time among the processes of a machine, by a folder that only one of them can make. The holder
// renews it; one that is not renewed was left by a process that died, and is taken over. If two take it over in the
// same moment both go on: that costs work done twice, never a wrong result, because results appear by rename.

import { mkdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const RENEW_MS = 2_000;
const ABANDONED_MS = 20_000;
const POLL_MS = 200;

export interface CacheLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** After how long without renewal a lock counts as left behind. */
  readonly abandonedMs?: number;
}

/** Waits for the lock at `path` and takes it; resolves to what gives it back. */
export async function acquireCacheLock(path: string, options: CacheLockOptions = {}): Promise<() => void> {
  const { signal, abandonedMs = ABANDONED_MS } = options;
  while (!tryLock(path)) {
    signal?.throwIfAborted();
    if (ageMs(path) > abandonedMs) rmSync(path, { recursive: true, force: true });
    else await sleep(POLL_MS);
  }
  const renewing = setInterval(() => {
    renew(path);
  }, RENEW_MS).unref();
  return () => {
    clearInterval(renewing);
    rmSync(path, { recursive: true, force: true });
  };
}

function tryLock(path: string): boolean {
  try {
    mkdirSync(path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  }
}

function ageMs(path: string): number {
  const modifiedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return modifiedMs === undefined ? 0 : Date.now() - modifiedMs;
}

// Taken over, if it is missing: the work goes on, see above.
function renew(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch (error) {
    if (!isCode(error, 'ENOENT')) throw error;
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
