import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileRegexp } from './regexp.ts';

describe('compileRegexp', () => {
  const cases: readonly (readonly [pattern: string, matches: string, not: string])[] = [
    ['a.c', 'xabcx', 'ac'],
    ['(?i)^abc$', 'ABC', 'abcd'],
    [String.raw`\Aab\z`, 'ab', 'ab\n'],
    [String.raw`^[[:alpha:]_]+$`, 'ab_', 'a1'],
    [String.raw`^(?P<host>[a-z]+)\.example$`, 'a.example', 'a-example'],
    [String.raw`^a\-b\_c$`, 'a-b_c', 'ab'],
  ];
  for (const [pattern, matches, not] of cases) {
    test(pattern, () => {
      const regexp = compileRegexp(pattern);
      assert.ok(regexp.test(matches));
      assert.ok(!regexp.test(not));
    });
  }

  test('refuses what would mean something else', () => {
    for (const pattern of [String.raw`\pL`, String.raw`\Qa.b\E`, '[[:nonsense:]]', '(', 'a**']) {
      assert.throws(() => compileRegexp(pattern), pattern);
    }
  });
});
