import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodePem } from './pem.ts';

const BLOCK = '-----BEGIN X-----\nYWJj\nZGVm\n-----END X-----\n';
const EXPECTED = { type: 'X', bytes: Buffer.from('abcdef') };

describe('decodePem', () => {
  const readable: Readonly<Record<string, string>> = {
    'a block': BLOCK,
    'text around it': `hello\n${BLOCK}bye`,
    'no final newline': BLOCK.trim(),
    'CR LF': BLOCK.replaceAll('\n', '\r\n'),
    headers: BLOCK.replace('\n', '\nA: b\nC: d\n\n'),
    'the first of two': BLOCK + BLOCK.replace('YWJj', 'eHl6'),
    'a block that is no base64 before it': BLOCK.replace('YWJj', '*') + BLOCK,
    'a BEGIN without END before it': `-----BEGIN X-----\n${BLOCK}`,
  };
  for (const [name, text] of Object.entries(readable)) {
    test(`reads ${name}`, () => {
      assert.deepEqual(decodePem(text), EXPECTED);
    });
  }

  const unreadable: Readonly<Record<string, string>> = {
    'plain text': 'hello',
    'another END': BLOCK.replace('END X', 'END Y'),
    'text in front of BEGIN': `x${BLOCK}`,
    'text behind END': BLOCK.trim().concat('x'),
  };
  for (const [name, text] of Object.entries(unreadable)) {
    test(`finds nothing in ${name}`, () => {
      assert.equal(decodePem(text), undefined);
    });
  }
});
