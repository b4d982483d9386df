import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseRootsFile } from './roots-file.ts';

describe('parseRootsFile', () => {
  test('reads sections, quotes, comments and blank lines', () => {
    const text = '# comment\r\n\n[ one ]\nprivate = file://a b\nca="x"\n  [two]\nkey=\n';
    assert.deepEqual(
      parseRootsFile(text),
      new Map([
        [
          'one',
          new Map([
            ['private', 'file://a b'],
            ['ca', 'x'],
          ]),
        ],
        ['two', new Map([['key', '']])],
      ]),
    );
  });

  test('goes on with a section that comes again, and puts early keys into "default"', () => {
    assert.deepEqual(
      parseRootsFile('a = 1\n[x]\nb = 2\n[default]\nc = 3'),
      new Map([
        [
          'default',
          new Map([
            ['a', '1'],
            ['c', '3'],
          ]),
        ],
        ['x', new Map([['b', '2']])],
      ]),
    );
  });

  test('has no labels in an empty file', () => {
    assert.deepEqual(parseRootsFile(''), new Map());
  });

  test('refuses a hyphen in a label and other lines', () => {
    for (const line of ['[a-b]', 'hello', '  # indented']) {
      assert.throws(() => parseRootsFile(line), {
        name: 'ConfigurationError',
        message: `invalid config file: "${line}"`,
      });
    }
  });
});
