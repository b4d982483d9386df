// A process that cannot outlive its parent. A small shell stands between the two: its standard input is a pipe from
// the parent, so that it notices the parent's end however it came about (kill -9 included), ends the process and
// removes its folder. It is a session of its own, so that a terminal's Ctrl-C reaches only the parent, which decides.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Socket } from 'node:net';

// A line on standard input: end the process. End of input: end the process and remove the folder.
// The reader ignores SIGTERM once it has read, because from then on it alone knows what becomes of the folder.
// At the end of input all servers of a folder end at once and their data with them: none is asked to end in order, for
// an API server would wait for its etcd.
// `kill -0` fails only after the outer shell has reaped the process, which it does at once.
const GUARDIAN = `
folder=$1 end=$2 grace=$3
shift 3
exec 3<&0 </dev/null
remove() { rm -rf "$folder" || { sleep 0.5; rm -rf "$folder"; }; }
if [ $# -eq 0 ]; then
  read -r line <&3 || remove
  exit 0
fi
"$@" 3<&- &
process=$!
(
  read -r line <&3
  fate=$?
  trap '' TERM
  [ "$end" = group ] && kill -KILL 0
  if [ $fate -eq 0 ]; then kill -TERM "$process" 2>/dev/null; else grace=0; fi
  n=0
  while kill -0 "$process" 2>/dev/null && [ $n -lt "$grace" ]; do sleep 0.05; n=$((n+50)); done
  kill -KILL "$process" 2>/dev/null
  exit $fate
) &
reader=$!
wait "$process"
status=$?
kill -TERM "$reader" 2>/dev/null
wait "$reader" 2>/dev/null # a shell would say in the log that it was terminated
[ $? -eq 1 ] && remove
exit $status
`;

export interface GuardedOptions {
  /** Removed when the parent ends without having ended the process. */
  readonly folder: string;
  /** Command and arguments; without, the guardian only looks after the folder. */
  readonly command?: readonly [string, ...string[]];
  /** Takes the output of the process; appended to. */
  readonly logFile?: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** `orderly`: SIGTERM first. `group`: SIGKILL for it and all that it has started, the guardian included. */
  readonly ending?: 'orderly' | 'group';
  /** How long after SIGTERM SIGKILL follows. Default: 10 s. */
  readonly graceMs?: number;
}

/** How a guarded process ended, in words: `exit code 1`. */
export type Ending = string;

export interface GuardedProcess {
  /** How the process ended, once it has. */
  readonly ended: Promise<Ending>;
  /** Ends the process; the folder stays, or goes with it. */
  end(folder: 'keep' | 'remove'): Promise<Ending>;
}

/** Starts `command` under a guardian. Neither keeps the parent's event loop alive. */
export function spawnGuarded(options: GuardedOptions): GuardedProcess {
  const { folder, command = [], ending = 'orderly', graceMs = 10_000 } = options;
  const log = options.logFile === undefined ? ('ignore' as const) : openSync(options.logFile, 'a');
  const guardian = spawn(
    '/bin/sh',
    ['-c', GUARDIAN, 'cfssl-issuer-guardian', folder, ending, String(graceMs), ...command],
    { detached: true, stdio: ['pipe', log, log], cwd: options.cwd ?? '/', env: options.env ?? process.env },
  );
  if (typeof log === 'number') closeSync(log);
  const ended = whenEnded(guardian);
  const pipe = guardian.stdin as Socket;
  pipe.on('error', () => {}); // the guardian went first: there is nobody left to tell
  pipe.unref();
  guardian.unref();

  return {
    ended,
    end: async (folder) => {
      guardian.ref();
      pipe.end(folder === 'keep' ? 'keep\n' : '');
      return ended;
    },
  };
}

function whenEnded(guardian: ChildProcess): Promise<Ending> {
  return new Promise((resolve) => {
    guardian.once('error', (error) => {
      resolve(`no start: ${error.message}`);
    });
    guardian.once('exit', (code, signal) => {
      // A shell reports a signal as 128 + its number.
      resolve(code === null ? `signal ${signal}` : code > 128 ? `signal ${code - 128}` : `exit code ${code}`);
    });
  });
}
