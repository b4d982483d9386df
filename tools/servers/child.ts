// One server process: its log in a file of its folder, ready when its probe says so, ended by stop(), by the end of
// this process, or by its own fault, which the error of the start then shows with the end of the log.

import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { progress } from '../progress.ts';
import { quoteLog, ServersError } from './errors.ts';
import type { ServerFolder } from './folder.ts';
import { type Ending, spawnGuarded } from './guardian.ts';

export interface ServerProcessOptions {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly folder: ServerFolder;
  /** Whether the server can be used; asked until it says yes. A rejection counts as no. */
  readonly isReady: (signal: AbortSignal) => Promise<boolean>;
  /** Default: 60 s, for a machine that is busy. */
  readonly readyWithinMs?: number;
  /** How long it may take to end when asked to, before it is killed. Default: 10 s. */
  readonly graceMs?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface ServerProcess {
  readonly name: string;
  readonly logFile: string;
  /** How the process ended, once it has. */
  readonly ended: Promise<Ending>;
  stop(): Promise<void>;
}

/** What a start writes: the file may hold the output of an earlier start. */
interface LogPart {
  readonly file: string;
  readonly from: number;
}

const PROBE_PERIOD_MS = 25;
const PROBE_TIMEOUT_MS = 2_000;

/**
 * Starts a server and waits until it is ready.
 * @throws ServersError SERVERS_START_FAILED, SERVERS_ADDRESS_IN_USE
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const { name, folder, command, graceMs = 10_000, signal } = options;
  signal?.throwIfAborted();
  const logFile = join(folder.path, `${name}.log`);
  const from = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  const guarded = spawnGuarded({ folder: folder.path, command, logFile, cwd: folder.path, graceMs });
  const stop = async (): Promise<void> => {
    await guarded.end('keep'); // the folder is removed once, by its own guardian
  };
  try {
    await progress(`Starting ${name}`, () => untilReady(options, { file: logFile, from }, guarded.ended));
  } catch (error) {
    await stop();
    throw error;
  }
  return { name, logFile, ended: guarded.ended, stop };
}

async function untilReady(options: ServerProcessOptions, log: LogPart, ended: Promise<Ending>): Promise<void> {
  const { name, readyWithinMs = 60_000, signal } = options;
  let ending: Ending | undefined;
  void ended.then((how) => (ending = how));
  const deadlineMs = performance.now() + readyWithinMs;
  let lastFailure: Error | undefined;
  while (performance.now() < deadlineMs) {
    signal?.throwIfAborted();
    const isReady = await options.isReady(probeSignal(signal)).catch((error: Error) => {
      lastFailure = error;
      return false;
    });
    if (ending !== undefined) throw startFailure(name, `it ended with ${ending} before it was ready`, log);
    if (isReady) return;
    await sleep(PROBE_PERIOD_MS);
  }
  const why = lastFailure === undefined ? '' : ` (${lastFailure.message})`;
  throw startFailure(name, `it was not ready within ${readyWithinMs / 1000} s${why}`, log);
}

function probeSignal(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  return signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
}

function startFailure(name: string, why: string, log: LogPart): ServersError {
  const said = readFileSync(log.file).subarray(log.from).toString();
  return new ServersError(
    said.includes('address already in use') ? 'SERVERS_ADDRESS_IN_USE' : 'SERVERS_START_FAILED',
    `Cannot start ${name}: ${why}\n${quoteLog(log.file)}`,
  );
}
