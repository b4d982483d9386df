// `make demo`: a Certificate becomes a signed Secret, on real servers, on this machine. Starts a control plane,
// cert-manager's controllers and multirootca, then our issuer as a user runs it, applies config/samples, waits until all
// is Ready, verifies what was issued and shows it. Stays up until Ctrl-C; with `--once` it ends when all is verified.

import { formatIntroduction, formatNextSteps, formatReport } from './demo-report.ts';
import { startDemoServers } from './demo-servers.ts';
import { runSuite } from './sample-suite.ts';

async function runDemo(once: boolean, signal: AbortSignal): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  const startedMs = performance.now();
  const servers = await startDemoServers(cleanup, signal);
  process.stdout.write(formatIntroduction(servers));
  process.stdout.write(formatReport(await runSuite(servers, signal)));
  if (once) {
    const seconds = Math.round((performance.now() - startedMs) / 1000);
    process.stdout.write(`Everything is Ready and verified, ${seconds} s after the start.\n`);
    return;
  }
  process.stdout.write(formatNextSteps(servers));
  await untilAborted(signal);
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // The interval keeps the process alive: everything else that is open is a child's.
    const alive = setInterval(() => {}, 2 ** 30);
    const end = (): void => {
      clearInterval(alive);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}

const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (!interrupt.signal.aborted) process.stderr.write('\nStopping\n');
    interrupt.abort(new Error(`Interrupted by ${name}`));
  });
}
try {
  await runDemo(process.argv.includes('--once'), interrupt.signal);
} catch (error) {
  if (interrupt.signal.aborted) process.exitCode = 130;
  else {
    process.stderr.write(`The demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
