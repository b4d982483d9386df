import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { formatDuration, formatMicroTime, formatTime, parseDuration, parseTime } from './time.ts';

const JANUARY = Date.UTC(2026, 0, 2, 3, 4, 5);

describe('formatTime()', () => {
  for (const [epochMs, expected] of [
    [JANUARY, '2026-01-02T03:04:05Z'],
    [JANUARY + 999, '2026-01-02T03:04:05Z'],
    [0, '1970-01-01T00:00:00Z'],
    [-1, '1969-12-31T23:59:59Z'],
  ] as const) {
    test(`${epochMs} is ${expected}`, () => {
      assert.equal(formatTime(epochMs), expected);
    });
  }
});

describe('formatMicroTime()', () => {
  for (const [epochMs, expected] of [
    [JANUARY, '2026-01-02T03:04:05.000000Z'],
    [JANUARY + 678, '2026-01-02T03:04:05.678000Z'],
    [JANUARY + 678.5, '2026-01-02T03:04:05.678500Z'],
    [-0.5, '1969-12-31T23:59:59.999500Z'],
  ] as const) {
    test(`${epochMs} is ${expected}`, () => {
      assert.equal(formatMicroTime(epochMs), expected);
    });
  }
});

describe('parseTime()', () => {
  for (const [text, expected] of [
    ['2026-01-02T03:04:05Z', JANUARY],
    ['2026-01-02T03:04:05.678901Z', JANUARY + 678],
    ['2026-01-02T04:04:05+01:00', JANUARY],
    [undefined, undefined],
    ['', undefined],
    ['yesterday', undefined],
    ['2026-01-02', undefined],
    ['2026-13-02T03:04:05Z', undefined],
    ['1767323045000', undefined],
  ] as const) {
    test(`${text} is ${expected}`, () => {
      assert.equal(parseTime(text), expected);
    });
  }

  test('undoes formatTime() and formatMicroTime()', () => {
    // Years that RFC 3339 can write.
    const seconds = fc.integer({ min: -62_135_596_800, max: 253_402_300_799 });
    fc.assert(
      fc.property(seconds, fc.integer({ min: 0, max: 999 }), (epochSeconds, millis) => {
        const epochMs = epochSeconds * 1000 + millis;
        assert.equal(parseTime(formatTime(epochMs)), epochSeconds * 1000);
        assert.equal(parseTime(formatMicroTime(epochMs)), epochMs);
      }),
    );
  });
});

describe('parseDuration()', () => {
  const cases: readonly [text: string, expected: number | undefined][] = [
    ['0', 0],
    ['0s', 0],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1m1m', 120_000],
    ['250ms', 250],
    ['1.5s', 1500],
    ['.5s', 500],
    ['5.s', 5000],
    ['1500us', 1.5],
    ['1500µs', 1.5],
    ['1500μs', 1.5],
    ['1000000ns', 1],
    ['+10s', 10_000],
    ['-10s', -10_000],
    ['-1h30m', -5_400_000],
    ['8760h0m0s', 31_536_000_000],
    ['', undefined],
    ['10', undefined],
    ['s', undefined],
    ['.s', undefined],
    ['10 s', undefined],
    [' 10s', undefined],
    ['10s\n', undefined],
    ['1d', undefined],
    ['1h-30m', undefined],
    ['1..5s', undefined],
    ['10S', undefined],
    ['1e3s', undefined],
    ['--1s', undefined],
    ['Infinity', undefined],
  ];
  for (const [text, expected] of cases) {
    test(`${JSON.stringify(text)} is ${expected}`, () => {
      assert.equal(parseDuration(text), expected);
    });
  }

  test('undoes formatDuration() for whole seconds', () => {
    fc.assert(
      fc.property(fc.integer({ min: -(10 ** 9), max: 10 ** 9 }), (seconds) => {
        assert.equal(parseDuration(formatDuration(seconds * 1000)), seconds * 1000 + 0);
      }),
    );
  });
});

describe('formatDuration()', () => {
  for (const [durationMs, expected] of [
    [0, '0ms'],
    [250, '250ms'],
    [999, '999ms'],
    [1000, '1s'],
    [1499, '1s'],
    [1500, '2s'],
    [59_999, '1m'],
    [300_000, '5m'],
    [5_400_000, '1h30m'],
    [3_601_000, '1h1s'],
    [90_061_000, '25h1m1s'],
    [-5000, '-5s'],
  ] as const) {
    test(`${durationMs} is ${expected}`, () => {
      assert.equal(formatDuration(durationMs), expected);
    });
  }

  test('999.6 is 1s', () => {
    assert.equal(formatDuration(999.6), '1s');
  });
});
