import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ListOptions, ObjectHandler, WatchOptions } from './client.ts';
import { createReflector, type ObjectSource } from './namespaces-reflector.ts';
import type { ListWatcher } from './reflector.ts';
import type { Resource } from './resource.ts';
import { ListWatcherDouble } from './testing/list-watcher-double.ts';
import { LogDouble, WIDGETS, type Widget } from './testing/test-support.ts';

/** A server for each of these namespaces, whose widgets all are of the namespace that is asked for. */
function start(namespaces: readonly string[] | undefined) {
  const clock = new ManualClock();
  const servers = new Map(['a', 'b', 'c'].map((name) => [name, new ListWatcherDouble()]));
  const asked: (string | undefined)[] = [];
  const serverOf = ({ namespace }: { namespace?: string | undefined }): ListWatcherDouble => {
    asked.push(namespace);
    return servers.get(namespace ?? 'a') ?? assert.fail(`${namespace} was not to be asked`);
  };
  const move = <T>(object: T, namespace = 'a'): T => {
    const { metadata } = object as { metadata: object };
    return { ...object, metadata: { ...metadata, namespace } };
  };
  const client = {
    listEach: (resource: Resource, options: ListOptions, onObject: ObjectHandler<Widget>) =>
      serverOf(options).listEach<Widget>(resource, options, (object) => onObject(move(object, options.namespace))),
    watch: async function* (resource: Resource, options: WatchOptions) {
      for await (const event of serverOf(options).watch<Widget>(resource, options)) {
        yield { ...event, object: move(event.object, options.namespace) };
      }
    },
  } as ListWatcher;
  const source: ObjectSource<Widget> = createReflector<Widget>(
    { client, clock, log: new LogDouble(), random: () => 0 },
    { resource: WIDGETS, namespaces, indexes: { colour: ({ colour }) => (colour === undefined ? [] : [colour]) } },
  );
  const changes: string[] = [];
  const unsubscribe = source.subscribe(({ type, current, previous }) => {
    const { namespace, name } = (current ?? previous).metadata;
    changes.push(`${type} ${namespace}/${name}`);
  });
  const stop = new AbortController();
  const running = source.run(stop.signal);
  const end = async (): Promise<void> => {
    stop.abort(new Error('The test is over'));
    await running;
    assert.equal(clock.pendingTimers, 0);
  };
  const serverFor = (name: string): ListWatcherDouble => servers.get(name) ?? assert.fail(name);
  return { clock, source, changes, unsubscribe, asked, serverFor, end };
}

describe('createReflector()', () => {
  test('of some namespaces asks for those only, and shows what they hold as one', async () => {
    const { clock, source, changes, asked, serverFor, end } = start(['a', 'b']);
    serverFor('a').put('one', { colour: 'red' });
    serverFor('b').put('one', { colour: 'red' });
    serverFor('b').put('two', { colour: 'blue' });
    serverFor('c').put('three', { colour: 'red' });
    await source.synced();
    const names = (widgets: readonly Widget[]) =>
      widgets.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).sort();
    assert.deepEqual(names(source.store.list()), ['a/one', 'b/one', 'b/two']);
    assert.deepEqual(names(source.store.byIndex('colour', 'red')), ['a/one', 'b/one']);
    assert.equal(source.store.size, 3);
    assert.equal(source.store.get('b/two')?.colour, 'blue');
    assert.equal(source.store.get('c/three'), undefined);
    serverFor('b').delete('one');
    await clock.advance(0);
    assert.deepEqual(names(source.store.list()), ['a/one', 'b/two']);
    assert.deepEqual(changes.toSorted(), ['added a/one', 'added b/one', 'added b/two', 'deleted b/one']);
    assert.deepEqual(new Set(asked), new Set(['a', 'b']));
    await end();
  });

  test('has synced when all of the namespaces were listed', async () => {
    const { clock, source, serverFor, end } = start(['a', 'b']);
    serverFor('b').listFaults.push('error');
    await clock.advance(0);
    assert.equal(source.hasSynced(), false);
    await clock.advance(5000);
    assert.equal(source.hasSynced(), true);
    await end();
  });

  test('tells nothing more to who has unsubscribed', async () => {
    const { clock, changes, unsubscribe, serverFor, end } = start(['a', 'b']);
    unsubscribe();
    serverFor('a').put('one');
    await clock.advance(0);
    assert.deepEqual(changes, []);
    await end();
  });

  test('of no namespace asks nobody, and has synced', async () => {
    const { source, asked, end } = start([]);
    await source.synced();
    assert.deepEqual([source.hasSynced(), source.store.size, asked], [true, 0, []]);
    await end();
  });

  test('without namespaces asks for all at once', async () => {
    const { source, asked, end } = start(undefined);
    await source.synced();
    assert.deepEqual([...new Set(asked)], [undefined]);
    await end();
  });
});
