import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DerReader } from './der.ts';
import { text } from './testing/authority.ts';
import { readTime } from './time.ts';

const read = (value: string, tag = 0x18) => readTime(new DerReader(text(value, tag), 'certificate'), 'notAfter');

describe('readTime', () => {
  test('agrees with Date on the first, the last and a leap day of every month from 1950 to 2200', () => {
    for (let year = 1950; year <= 2200; year += 1) {
      for (let month = 1; month <= 12; month += 1) {
        for (const day of [1, 28, new Date(Date.UTC(year, month, 0)).getUTCDate()]) {
          const value = `${year}${String(month).padStart(2, '0')}${String(day).padStart(2, '0')}235958Z`;
          assert.equal(read(value), Date.UTC(year, month - 1, day, 23, 59, 58), value);
        }
      }
    }
  });

  test('takes the last second of year 9999', () => {
    assert.equal(read('99991231235959Z'), Date.UTC(9999, 11, 31, 23, 59, 59));
  });

  test('puts UTCTime between 1950 and 2049', () => {
    assert.equal(read('500101000000Z', 0x17), Date.UTC(1950, 0, 1));
    assert.equal(read('491231235959Z', 0x17), Date.UTC(2049, 11, 31, 23, 59, 59));
  });

  for (const value of [
    '20260229000000Z',
    '21000229000000Z',
    '20260431000000Z',
    '20261301000000Z',
    '20260001000000Z',
    '20260100000000Z',
    '20260101240000Z',
    '20260101006000Z',
    '20260101000060Z',
    '202601010000Z',
    '20260101000000',
    '20260101000000+0000',
    '20260101000000.5Z',
    '2026010100000٠Z',
  ]) {
    test(`refuses ${value}`, () => {
      const message = 'Cannot parse certificate: notAfter is no time of RFC 5280';
      assert.throws(() => read(value), { name: 'X509Error', code: 'X509_CONTENT', message });
    });
  }

  test('refuses other types', () => {
    assert.throws(() => read('20260101000000Z', 0x0c), { code: 'X509_DER' });
  });
});
