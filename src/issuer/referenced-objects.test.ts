import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { secret } from '../../test/support/builders.ts';
import { SECRETS } from '../api/index.ts';
import type { NamedObjectHandle, NamedObjectState } from '../kubernetes/index.ts';
import { ReferencedObjects } from './referenced-objects.ts';

const reference = { resource: SECRETS, namespace: 'team', name: 'ca-key' };
const { signal } = new AbortController();

/** One object's watch, that tells its user of each state, the first one too, as the runtime's does. */
function start() {
  let tell = (): void => {};
  let state: NamedObjectState<never> = { state: 'unknown' };
  const known = Promise.withResolvers<void>();
  let released = 0;
  const acquire = (_: unknown, __: unknown, ___: unknown, onChange: () => void) => {
    tell = onChange;
    const handle: NamedObjectHandle<never> = {
      current: () => state,
      synced: () => known.promise,
      release: () => {
        released += 1;
      },
    };
    return handle as never;
  };
  let changes = 0;
  const objects = new ReferencedObjects({ acquire }, () => {
    changes += 1;
  });
  const become = (next: object): void => {
    state = next as typeof state;
    known.resolve();
    tell();
  };
  return { objects, become, counts: () => ({ changes, released }) };
}

describe('ReferencedObjects', () => {
  test('that an object is known at last is no change; what happens to it from then on is', async () => {
    const { objects, become, counts } = start();
    const watching = objects.watch([reference], signal);
    become({ state: 'present', object: secret({ key: '00' }) });
    await watching;
    assert.equal(counts().changes, 0);
    assert.equal(objects.lookup(reference).state, 'present');
    become({ state: 'absent' });
    assert.equal(counts().changes, 1);
    await objects.watch([reference], signal);
    become({ state: 'present', object: secret({ key: '00' }) });
    assert.equal(counts().changes, 2);
  });

  test('what is not named any more is let go, and so is all at the end', async () => {
    const { objects, become, counts } = start();
    const watching = objects.watch([reference], signal);
    become({ state: 'absent' });
    await watching;
    await objects.watch([], signal);
    assert.equal(counts().released, 1);
    assert.deepEqual(objects.lookup(reference), { state: 'absent' });
    assert.deepEqual(objects.versionOf(reference), []);
    await objects.watch([reference], signal);
    objects.release();
    assert.equal(counts().released, 2);
  });
});
