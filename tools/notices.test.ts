import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Licensed, noticesComment } from './notices.ts';

describe('noticesComment()', () => {
  const root = mkdtempSync(join(tmpdir(), 'notices-'));
  after(() => rmSync(root, { recursive: true }));

  function licensed(name: string, files: Readonly<Record<string, string>>): Licensed {
    const folder = join(root, name);
    mkdirSync(folder);
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
    return { folder, name, version: '1.0.0', licence: 'MIT' };
  }

  test('holds each text once, with all that it is for, and cannot end early', () => {
    const comment = noticesComment([
      licensed('a', { LICENSE: 'Same */ text\r\n', 'README.md': 'no' }),
      licensed('b', { 'LICENCE.md': 'Same */ text', 'index.js': 'no' }),
      licensed('c', { 'license.txt': 'Other', 'NOTICE.txt': 'And a notice' }),
    ]);
    assert.equal(
      comment,
      `/*
This file holds the following, under these licences.

==== a 1.0.0 (MIT), b 1.0.0 (MIT)

Same * / text

==== c 1.0.0 (MIT)

And a notice

Other
*/
`,
    );
  });

  test('refuses a package whose licence is not there', () => {
    assert.throws(() => noticesComment([licensed('none', { 'README.md': 'MIT' })]), /licence of none/);
  });
});
