// Says on stderr what a long step is doing: one line that updates itself on a terminal, plain lines (a start, one
// each 20 s, an end) everywhere else. A step that ends within a second says nothing, so that warm starts stay quiet.
// Steps may overlap: the terminal's line shows the oldest and counts the others.

/** Where progress is written and what time it is; a test passes its own. */
export interface ProgressSurface {
  readonly isTerminal: boolean;
  write(text: string): void;
  nowMs(): number;
  /** Calls `tick` each `periodMs` without keeping the process alive; returns what ends it. */
  every(periodMs: number, tick: () => void): () => void;
}

/** Runs `work` and reports it as `step` until it settles; resolves or rejects as `work` does. */
export type Progress = <T>(step: string, work: () => Promise<T>) => Promise<T>;

interface RunningStep {
  readonly step: string;
  readonly startedMs: number;
  saidMs: number | undefined;
}

const QUIET_MS = 1_000;
const PLAIN_PERIOD_MS = 20_000;
const TICK_MS = 250;

/** Builds a progress reporter over `surface`. */
export function createProgress(surface: ProgressSurface): Progress {
  const running = new Set<RunningStep>();
  let endTicks: (() => void) | undefined;

  const tick = (): void => {
    const now = surface.nowMs();
    const slow = [...running].filter(({ startedMs }) => now - startedMs >= QUIET_MS);
    if (surface.isTerminal) {
      drawLine(surface, slow, now);
    } else {
      for (const entry of slow) sayPlainly(surface, entry, now);
    }
  };

  return async (step, work) => {
    const entry: RunningStep = { step, startedMs: surface.nowMs(), saidMs: undefined };
    running.add(entry);
    endTicks ??= surface.every(TICK_MS, tick);
    let outcome = 'failed';
    try {
      const value = await work();
      outcome = 'done';
      return value;
    } finally {
      running.delete(entry);
      if (running.size === 0) {
        endTicks?.();
        endTicks = undefined;
      }
      sayEnd(surface, entry, outcome);
      if (surface.isTerminal) tick();
    }
  };
}

let onStderr: Progress | undefined;

/** Reports `step` on this process's stderr while `work` runs. */
export const progress: Progress = (step, work) => {
  onStderr ??= createProgress(stderrSurface());
  return onStderr(step, work);
};

/** 8 s, 3 min 5 s. */
export function formatElapsed(elapsedMs: number): string {
  const seconds = Math.floor(elapsedMs / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function drawLine(surface: ProgressSurface, slow: RunningStep[], now: number): void {
  const [first, ...others] = slow;
  if (first === undefined) return;
  first.saidMs = now;
  const more = others.length > 0 ? ` (and ${others.length} more)` : '';
  surface.write(`\r\x1b[K${first.step} … ${formatElapsed(now - first.startedMs)}${more}`);
}

function sayPlainly(surface: ProgressSurface, entry: RunningStep, now: number): void {
  if (entry.saidMs === undefined) {
    surface.write(`${entry.step} …\n`);
  } else if (now - entry.saidMs >= PLAIN_PERIOD_MS) {
    surface.write(`${entry.step} … ${formatElapsed(now - entry.startedMs)}\n`);
  } else {
    return;
  }
  entry.saidMs = now;
}

function sayEnd(surface: ProgressSurface, entry: RunningStep, outcome: string): void {
  const elapsedMs = surface.nowMs() - entry.startedMs;
  if (elapsedMs < QUIET_MS) return;
  surface.write(`${surface.isTerminal ? '\r\x1b[K' : ''}${entry.step}: ${outcome} after ${formatElapsed(elapsedMs)}\n`);
}

function stderrSurface(): ProgressSurface {
  return {
    isTerminal: process.stderr.isTTY,
    write: (text) => {
      process.stderr.write(text);
    },
    nowMs: () => performance.now(),
    every: (periodMs, tick) => {
      const timer = setInterval(tick, periodMs).unref();
      return () => {
        clearInterval(timer);
      };
    },
  };
}
