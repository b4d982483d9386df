import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { createProgress, formatElapsed, type ProgressSurface } from './progress.ts';

describe('createProgress', () => {
  test('says nothing about a step that ends within a second', async () => {
    const surface = fakeSurface({ isTerminal: false });
    const progress = createProgress(surface);

    assert.equal(await progress('Building etcd', async () => surface.pass(900, 42)), 42);

    assert.deepEqual(surface.written, []);
    assert.equal(surface.ticking, false);
  });

  test('says start, each 20 s and end in plain lines', async () => {
    const surface = fakeSurface({ isTerminal: false });
    const progress = createProgress(surface);

    await progress('Building etcd', async () => surface.pass(65_000));

    assert.deepEqual(surface.written, [
      'Building etcd …\n',
      'Building etcd … 21 s\n',
      'Building etcd … 41 s\n',
      'Building etcd … 1 min 1 s\n',
      'Building etcd: done after 1 min 5 s\n',
    ]);
  });

  test('updates one line on a terminal and counts what runs beside it', async () => {
    const surface = fakeSurface({ isTerminal: true });
    const progress = createProgress(surface);

    await progress('Starting etcd', () => progress('Starting multirootca', async () => surface.pass(1_000)));

    assert.deepEqual(surface.written, [
      '\r\x1b[KStarting etcd … 1 s (and 1 more)',
      '\r\x1b[KStarting multirootca: done after 1 s\n',
      '\r\x1b[KStarting etcd … 1 s',
      '\r\x1b[KStarting etcd: done after 1 s\n',
    ]);
  });

  test('a step that fails says so and rejects with its own error', async () => {
    const surface = fakeSurface({ isTerminal: false });
    const progress = createProgress(surface);
    const failure = new Error('no Go');

    await assert.rejects(
      progress('Building etcd', async () => {
        surface.pass(2_000);
        throw failure;
      }),
      failure,
    );

    assert.deepEqual(surface.written, ['Building etcd …\n', 'Building etcd: failed after 2 s\n']);
    assert.equal(surface.ticking, false);
  });
});

describe('formatElapsed', () => {
  for (const [elapsedMs, text] of [
    [0, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min 0 s'],
    [3_725_000, '62 min 5 s'],
  ] as const) {
    test(`${elapsedMs} ms is ${text}`, () => {
      assert.equal(formatElapsed(elapsedMs), text);
    });
  }
});

interface FakeSurface extends ProgressSurface {
  readonly written: string[];
  readonly ticking: boolean;
  /** Lets `elapsedMs` go by, ticking on the way. */
  pass<T>(elapsedMs: number, value?: T): T | undefined;
}

function fakeSurface({ isTerminal }: { isTerminal: boolean }): FakeSurface {
  let now = 0;
  let ticker: { periodMs: number; tick: () => void } | undefined;
  const written: string[] = [];
  return {
    isTerminal,
    written,
    get ticking() {
      return ticker !== undefined;
    },
    write: (text) => {
      written.push(text);
    },
    nowMs: () => now,
    every: (periodMs, tick) => {
      ticker = { periodMs, tick };
      return () => {
        ticker = undefined;
      };
    },
    pass: (elapsedMs, value) => {
      for (const end = now + elapsedMs; now < end; ) {
        now += Math.min(ticker?.periodMs ?? elapsedMs, end - now);
        ticker?.tick();
      }
      return value;
    },
  };
}
