import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';

import { acquireCacheLock } from './cache-lock.ts';

describe('acquireCacheLock()', () => {
  const folder = mkdtempSync(join(tmpdir(), 'cfssl-issuer-lock-test-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  test('has one holder at a time', async () => {
    const path = join(folder, 'contended');
    let holders = 0;
    const hold = async (): Promise<void> => {
      const release = await acquireCacheLock(path);
      holders++;
      await new Promise(setImmediate);
      assert.equal(holders, 1);
      holders--;
      release();
    };

    await Promise.all([hold(), hold(), hold()]);

    assert.equal(existsSync(path), false);
  });

  test('takes over what a dead process left', async () => {
    const path = join(folder, 'abandoned');
    mkdirSync(path);
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(path, longAgo, longAgo);

    const release = await acquireCacheLock(path);

    release();
    assert.equal(existsSync(path), false);
  });

  test('stops waiting when its signal says so', async () => {
    const path = join(folder, 'waiting');
    const release = await acquireCacheLock(path);
    const reason = new Error('enough');

    await assert.rejects(acquireCacheLock(path, { signal: AbortSignal.abort(reason) }), reason);

    release();
  });
});
