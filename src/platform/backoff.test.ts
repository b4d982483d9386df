import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BackoffOptions, backoffMs } from './backoff.ts';

const plain: BackoffOptions = { baseMs: 1000, maxMs: 300_000, jitter: 0 };

interface Case {
  readonly name: string;
  readonly failures: number;
  readonly options?: Partial<BackoffOptions>;
  readonly random?: () => number;
  readonly expected: number;
}

const cases: readonly Case[] = [
  { name: 'the first failure waits the base', failures: 1, expected: 1000 },
  { name: 'the second waits twice as long', failures: 2, expected: 2000 },
  { name: 'the fifth, sixteen times as long', failures: 5, expected: 16_000 },
  { name: 'the last below the bound', failures: 9, expected: 256_000 },
  { name: 'never longer than the bound', failures: 10, expected: 300_000 },
  { name: 'nor after failures beyond counting', failures: Number.MAX_SAFE_INTEGER, expected: 300_000 },
  { name: 'no failure counts as one', failures: 0, expected: 1000 },
  { name: 'a base above the bound is the bound', failures: 1, options: { baseMs: 400_000 }, expected: 300_000 },
  { name: 'no delay stays none', failures: 9, options: { baseMs: 0 }, expected: 0 },
  { name: 'jitter adds nothing at its lowest', failures: 2, options: { jitter: 0.2 }, expected: 2000 },
  { name: 'jitter adds its share', failures: 2, options: { jitter: 0.2 }, random: () => 0.5, expected: 2200 },
  {
    name: 'jitter goes beyond the bound',
    failures: 99,
    options: { jitter: 0.2 },
    random: () => 0.5,
    expected: 330_000,
  },
  {
    name: 'a delay is a whole number',
    failures: 1,
    options: { baseMs: 3, jitter: 0.5 },
    random: () => 0.3,
    expected: 3,
  },
];

describe('backoffMs()', () => {
  for (const { name, failures, options, random = () => 0, expected } of cases) {
    test(name, () => {
      assert.equal(backoffMs(failures, { ...plain, ...options }, random), expected);
    });
  }

  test('never goes down as failures add up', () => {
    const delays = Array.from({ length: 100 }, (_, index) => backoffMs(index + 1, plain, () => 0));
    assert.deepEqual(
      delays,
      delays.toSorted((a, b) => a - b),
    );
  });
});
