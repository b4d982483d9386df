// The temporary folder of a started server: everything that it writes is inside, and it is gone after stop() or when
// this process ends in whatever way. After a failed start it is kept, for its logs.

import { randomBytes } from 'node:crypto';
import { mkdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ServersError } from './errors.ts';
import { spawnGuarded } from './guardian.ts';

export interface ServerFolder {
  readonly path: string;
  /** Removes the folder, unless keep() came first. */
  remove(): Promise<void>;
  /** Leaves the folder behind for good. */
  keep(): Promise<void>;
}

/** Makes an empty folder `cfssl-issuer-<name>-…` below the system's temporary folder. */
export function createServerFolder(name: string): ServerFolder {
  const path = join(realpathSync(tmpdir()), `cfssl-issuer-${name}-${randomBytes(6).toString('hex')}`);
  // The guardian first: a folder that is made before it would outlive a kill in between.
  const keeper = spawnGuarded({ folder: path });
  mkdirSync(path, { mode: 0o700 });
  let settled: Promise<unknown> | undefined;
  return {
    path,
    remove: async () => {
      await (settled ??= keeper.end('remove'));
    },
    keep: async () => {
      await (settled ??= keeper.end('keep'));
    },
  };
}

/** What a start hands out: values for the caller, and how to end it all. */
export interface Stoppable extends AsyncDisposable {
  /** Ends the processes and removes the folder; a second call waits for the first. */
  stop(): Promise<void>;
}

/**
 * Runs `start` in a folder of its own. What it defers is undone in reverse order by stop(), or at once if it fails;
 * the folder of a server that failed is kept, and the error says so.
 */
export async function startInFolder<T extends object>(
  name: string,
  start: (folder: ServerFolder, undo: AsyncDisposableStack) => Promise<T>,
): Promise<T & Stoppable> {
  const folder = createServerFolder(name);
  const undo = new AsyncDisposableStack();
  undo.defer(() => folder.remove());
  try {
    const started = await start(folder, undo);
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> => (stopped ??= undo.disposeAsync());
    return Object.assign(started, { stop, [Symbol.asyncDispose]: stop });
  } catch (error) {
    const isKept = error instanceof ServersError;
    if (isKept) await folder.keep();
    await undo.disposeAsync();
    if (isKept) throw new ServersError(error.code, `${error.message}\n${folder.path} is kept`, { cause: error });
    throw error;
  }
}
