import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatLogTime, formatTime, parseDuration, parseTime, roundToMinute } from './time.ts';

describe('parseTime', () => {
  const good: readonly (readonly [string, string | undefined])[] = [
    ['2026-11-24T16:36:00Z', '2026-11-24T16:36:00Z'],
    ['2026-11-24T16:36:07.999Z', '2026-11-24T16:36:07Z'],
    ['2026-11-24T16:36:00,5Z', '2026-11-24T16:36:00Z'],
    ['2026-11-24T16:36:00+01:30', '2026-11-24T15:06:00Z'],
    ['2026-11-24T5:36:00-01:00', '2026-11-24T06:36:00Z'],
    ['0099-01-01T00:00:00Z', '0099-01-01T00:00:00Z'],
    ['0001-01-01T00:00:00Z', undefined],
  ];
  for (const [text, expected] of good) {
    test(`reads ${text}`, () => {
      const epochMs = parseTime(text);
      assert.equal(epochMs === undefined ? undefined : formatTime(epochMs), expected);
    });
  }

  const layout = ' as "2006-01-02T15:04:05Z07:00": cannot parse';
  const bad: readonly (readonly [string, string])[] = [
    ['', `parsing time ""${layout} "" as "2006"`],
    ['2026-11-24', `parsing time "2026-11-24"${layout} "" as "T"`],
    ['2026-1-24T15:36:01Z', `parsing time "2026-1-24T15:36:01Z"${layout} "1-24T15:36:01Z" as "01"`],
    ['2026-11-24T15:36:01', `parsing time "2026-11-24T15:36:01"${layout} "" as "Z07:00"`],
    ['2026-11-24T15:36:01+0100', `parsing time "2026-11-24T15:36:01+0100"${layout} "+0100" as "Z07:00"`],
    ['2026-13-24T16:36:00Z', 'parsing time "2026-13-24T16:36:00Z": month out of range'],
    ['2026-02-30T16:36:00Z', 'parsing time "2026-02-30T16:36:00Z": day out of range'],
    ['2026-01-32T16:36e', `parsing time "2026-01-32T16:36e"${layout} "e" as ":"`],
    ['2026-11-24T24:00:00Z', 'parsing time "2026-11-24T24:00:00Z": hour out of range'],
    ['2026-11-24T15:36:60Z', 'parsing time "2026-11-24T15:36:60Z": second out of range'],
    ['2026-11-24T15:36:01Z ', 'parsing time "2026-11-24T15:36:01Z ": extra text: " "'],
    ['"é', String.raw`parsing time "\"\xc3\xa9"${layout} "\"\xc3\xa9" as "2006"`],
  ];
  for (const [text, message] of bad) {
    test(`refuses ${JSON.stringify(text)} in Go's words`, () => {
      assert.throws(() => parseTime(text), { message });
    });
  }
});

describe('parseDuration', () => {
  test('reads sums of units', () => {
    assert.equal(parseDuration('1h30m'), 5_400_000);
    assert.equal(parseDuration('1.5s'), 1500);
    assert.equal(parseDuration('-10ms'), -10);
    assert.equal(parseDuration('0'), 0);
  });

  test('refuses days and bare numbers', () => {
    for (const text of ['', '1d', '5', 'h', '1h2']) {
      assert.throws(() => parseDuration(text), { message: `time: invalid duration "${text}"` });
    }
  });
});

test('roundToMinute() rounds half a minute up', () => {
  assert.equal(roundToMinute(29_999), 0);
  assert.equal(roundToMinute(30_000), 60_000);
});

test('formatLogTime() writes the stamp of package log', () => {
  assert.equal(formatLogTime(0), '1970/01/01 00:00:00');
});
