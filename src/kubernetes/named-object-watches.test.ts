import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { type NamedObjectHandle, NamedObjectWatches } from './named-object-watches.ts';
import { ListWatcherDouble } from './testing/list-watcher-double.ts';
import { LogDouble, WIDGETS, type Widget } from './testing/test-support.ts';

function start() {
  const clock = new ManualClock();
  const server = new ListWatcherDouble();
  const log = new LogDouble();
  const watches = new NamedObjectWatches({ client: server, clock, log, random: () => 0 });
  const changes: string[] = [];
  /** A user of `ns/a` that notes each state it is told of. */
  const acquire = (user: string): NamedObjectHandle<Widget> => {
    const handle: NamedObjectHandle<Widget> = watches.acquire(WIDGETS, 'ns', 'a', () =>
      changes.push(`${user} ${handle.current().state}`),
    );
    return handle;
  };
  const end = async (): Promise<void> => {
    watches.close();
    await clock.advance(0);
    assert.equal(server.openWatches, 0);
    assert.equal(clock.pendingTimers, 0);
  };
  return { clock, server, log, watches, changes, acquire, end };
}

describe('NamedObjectWatches', () => {
  test('tells of an object that is absent, comes, changes and goes', async () => {
    const { clock, server, changes, acquire, end } = start();
    const handle = acquire('one');
    assert.deepEqual(handle.current(), { state: 'unknown' });
    await handle.synced();
    assert.deepEqual(handle.current(), { state: 'absent' });
    server.put('a');
    await clock.advance(0);
    server.put('a', { colour: 'red' });
    await clock.advance(0);
    const current = handle.current();
    assert.equal(current.state === 'present' && current.object.colour, 'red');
    server.delete('a');
    await clock.advance(0);
    assert.deepEqual(changes, ['one absent', 'one present', 'one present', 'one absent']);
    await end();
  });

  test('asks by name, so that RBAC can grant it by name', async () => {
    const { clock, server, acquire, end } = start();
    await acquire('one').synced();
    await clock.advance(0);
    for (const { namespace, name } of server.gets) assert.deepEqual([namespace, name], ['ns', 'a']);
    assert.deepEqual(
      server.calls.map(({ verb, options }) => [verb, options.namespace, options.fieldSelector]),
      [['watch', 'ns', 'metadata.name=a']],
    );
    await end();
  });

  test('asks for exactly that name, whatever is in it', async () => {
    const { clock, server, watches, end } = start();
    await watches.acquire(WIDGETS, 'ns', 'a,b=c\\', () => {}).synced();
    await clock.advance(0);
    assert.equal(server.calls.length, 1);
    for (const { options } of server.calls) assert.equal(options.fieldSelector, 'metadata.name=a\\,b\\=c\\\\');
    await end();
  });

  test('a name that no object can have is absent, without a request that its path would lead elsewhere', async () => {
    for (const name of ['..', '.', 'a/b', 'a%2Fb']) {
      const { server, watches, end } = start();
      const handle = watches.acquire(WIDGETS, 'ns', name, () => {});
      await handle.synced();
      assert.deepEqual([handle.current().state, server.gets], ['absent', []]);
      await end();
    }
  });

  test('an object that goes between the look and the watch is noticed', async () => {
    const { clock, server, changes, acquire, end } = start();
    server.put('a');
    const handle = acquire('one');
    await handle.synced();
    server.delete('a'); // The watch, which begins at the newest state, tells nothing of it.
    await clock.advance(0);
    assert.equal(handle.current().state, 'absent');
    assert.deepEqual(changes, ['one present', 'one absent']);
    await end();
  });

  test('a look that fails once the watch is open is made up for', async () => {
    const { clock, server, changes, acquire, end } = start();
    server.listFaults.push('none', 'error');
    const handle = acquire('one');
    await handle.synced();
    await clock.advance(0);
    assert.equal(server.openWatches, 0);
    await clock.advance(5000);
    assert.equal(server.openWatches, 1);
    server.put('a');
    await clock.advance(0);
    assert.deepEqual(changes, ['one absent', 'one present']);
    await end();
  });

  test('users of one object share one connection, released when the last goes', async () => {
    const { clock, server, watches, changes, acquire, end } = start();
    const [one, two] = [acquire('one'), acquire('two')];
    await Promise.all([one.synced(), two.synced()]);
    await clock.advance(0);
    assert.equal(server.openWatches, 1);
    one.release();
    one.release();
    server.put('a');
    await clock.advance(0);
    assert.deepEqual(changes, ['one absent', 'two absent', 'two present']);
    two.release();
    await clock.advance(0);
    assert.equal(server.openWatches, 0);
    assert.equal(watches.size, 0);
    await end();
  });

  test('an object that is acquired again is asked for again', async () => {
    const { clock, server, acquire, end } = start();
    const first = acquire('one');
    await first.synced();
    first.release();
    server.put('a');
    const second = acquire('two');
    await second.synced();
    assert.equal(second.current().state, 'present');
    await clock.advance(0);
    assert.equal(server.openWatches, 1);
    await end();
  });

  test('a server that has never answered is a failure, told once, until it answers', async () => {
    const { clock, server, changes, acquire, end } = start();
    server.listFaults.push('error', 'error');
    const handle = acquire('one');
    await handle.synced();
    const current = handle.current();
    assert.match(current.state === 'failed' ? current.error.message : '', /Cannot serve/);
    await clock.advance(5000);
    assert.deepEqual(changes, ['one failed', 'one absent']);
    await end();
  });

  test('a later failure leaves the object as it was last seen', async () => {
    const { clock, server, changes, acquire, end } = start();
    server.put('a');
    const handle = acquire('one');
    await handle.synced();
    server.failWatch('resets', 'expired');
    server.listFaults.push('error');
    await clock.advance(5000);
    assert.equal(handle.current().state, 'present');
    assert.deepEqual(changes, ['one present']);
    await end();
  });

  test('synced() heeds its signal, and does not hang on a handle that is released', async () => {
    const { acquire, end } = start();
    const handle = acquire('one');
    const [aborted, waiting] = [handle.synced(AbortSignal.abort(new Error('Enough'))), handle.synced()];
    handle.release();
    await assert.rejects(aborted, /Enough/);
    await waiting;
    assert.deepEqual(handle.current(), { state: 'unknown' });
    await end();
  });

  test('a callback that throws harms nobody else', async () => {
    const { watches, changes, acquire, log, end } = start();
    watches.acquire(WIDGETS, 'ns', 'a', () => {
      throw new Error('Mine');
    });
    await acquire('two').synced();
    assert.deepEqual(changes, ['two absent']);
    assert.ok(log.lines.includes('error Handler of a named object failed'));
    await end();
  });
});
