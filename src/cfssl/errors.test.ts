import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { CfsslError, isCfsslError, printable, quoted } from './errors.ts';

describe('printable', () => {
  const rows: readonly (readonly [name: string, text: string, shown: string])[] = [
    ['plain text', 'bad request', 'bad request'],
    ['line ends and tabs', ' a\r\n\tb\u2028c\0d ', 'a b c d'],
    ['escape sequences', '\u001b[31mred', '[31mred'],
    ['text direction and invisible characters', 'a\u202eb\u200bc\ufeff', 'a b c'],
    ['half a character', 'a\ud800b', 'a\ufffdb'],
    ['letters of all kinds', 'Größe ключ 鍵', 'Größe ключ 鍵'],
    [
      "our own port in Go's network errors",
      'read tcp 10.0.0.1:51234->10.0.0.2:443: i/o timeout',
      'read tcp 10.0.0.2:443: i/o timeout',
    ],
    ['our own port, IPv6', 'read tcp [::1]:51234->[::1]:443: EOF', 'read tcp [::1]:443: EOF'],
    [
      "the time in Go's verification errors",
      'expired: current time 2026-11-24T14:25:31Z is after 2026-01-01T00:00:00Z',
      'expired: current time is after 2026-01-01T00:00:00Z',
    ],
    ['what is too long', '-x'.repeat(101), `${'-x'.repeat(100)}…`],
    ['what just fits', '-x'.repeat(100), '-x'.repeat(100)],
    ['a token', `{"token":"${'aB3+/'.repeat(8)}abc="}`, '{"token":"…"}'],
    ['a request, though it is cut', `${'x'.repeat(5000)} end`, '… end'],
    ['what is too short for a token', 'x'.repeat(39), 'x'.repeat(39)],
    ['a cut through a character', `${'-'.repeat(199)}😀`, `${'-'.repeat(199)}\ufffd…`],
  ];
  for (const [name, text, shown] of rows) {
    test(name, () => assert.equal(printable(text), shown));
  }
});

describe('quoted', () => {
  test('escapes quotation marks', () => assert.equal(quoted('say "no"\n'), '"say \\"no\\""'));
});

describe('CfsslError', () => {
  test('joins action and reason, and keeps the cause', () => {
    const cause = new Error('below');
    const error = new CfsslError('CFSSL_TIMEOUT', { action: 'Cannot sign', reason: 'too slow', cause });
    assert.equal(error.message, 'Cannot sign: too slow');
    assert.deepEqual(
      { name: error.name, code: error.code, reason: error.reason, details: error.details, cause: error.cause },
      { name: 'CfsslError', code: 'CFSSL_TIMEOUT', reason: 'too slow', details: { maybeProcessed: false }, cause },
    );
  });

  test('isCfsslError() tells it from others, by code too', () => {
    const error = new CfsslError('CFSSL_TIMEOUT', { action: 'a', reason: 'b' });
    assert.ok(isCfsslError(error));
    assert.ok(isCfsslError(error, 'CFSSL_TIMEOUT'));
    assert.ok(!isCfsslError(error, 'CFSSL_ABORTED'));
    assert.ok(!isCfsslError(new Error('CFSSL_TIMEOUT')));
  });
});
