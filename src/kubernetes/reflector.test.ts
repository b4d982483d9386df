import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';
import { keyOf } from './resource.ts';
import type { Change } from './store.ts';
import { type ListFault, ListWatcherDouble, type WatchFault } from './testing/list-watcher-double.ts';
import { LogDouble, WIDGETS, type Widget } from './testing/test-support.ts';

const MINUTE_MS = 60_000;

function start(options: Partial<ReflectorOptions<Widget>> = {}, server = new ListWatcherDouble()) {
  const clock = new ManualClock();
  const log = new LogDouble();
  const stop = new AbortController();
  const reflector = new Reflector<Widget>(
    { client: server, clock, log, random: () => 0.5 },
    { resource: WIDGETS, ...options },
  );
  const changes: Change<Widget>[] = [];
  reflector.subscribe((change) => changes.push(change));
  const running = reflector.run(stop.signal);
  /** Ends it, and sees that nothing is left behind. */
  const end = async (): Promise<void> => {
    stop.abort(new Error('The test is over'));
    await running;
    assert.equal(clock.pendingTimers, 0);
    assert.equal(server.openWatches, 0);
  };
  return { clock, log, server, reflector, changes, stop, running, end };
}

function serverWith(...names: string[]): ListWatcherDouble {
  const server = new ListWatcherDouble();
  for (const name of names) server.put(name);
  return server;
}

const namesIn = ({ store }: Reflector<Widget>): string[] => store.list().map(({ metadata }) => metadata.name);
const summary = (changes: readonly Change<Widget>[]): string[] =>
  changes.map((change) => `${change.type} ${(change.current ?? change.previous).metadata.name}`);
/** The versions asked for, as `list 0` and `watch 3`. */
const asked = (server: ListWatcherDouble): string[] =>
  server.calls.map(({ verb, options }) => `${verb} ${options.resourceVersion ?? 'newest'}`);

describe('Reflector', () => {
  test('lists from the cache in pages, then watches from there', async () => {
    const { clock, reflector, server, changes, end } = start({}, serverWith('a', 'b', 'c'));
    assert.equal(reflector.hasSynced(), false);
    await reflector.synced();
    server.put('d');
    server.put('a');
    server.delete('b');
    await clock.advance(0);
    assert.deepEqual(namesIn(reflector).sort(), ['a', 'c', 'd']);
    assert.deepEqual(summary(changes), ['added a', 'added b', 'added c', 'added d', 'updated a', 'deleted b']);
    assert.deepEqual(asked(server), ['list 0', 'list newest', 'watch 3']);
    const limits = server.calls.map(({ options }) => ('limit' in options ? options.limit : undefined));
    assert.deepEqual(limits, [500, 500, undefined]);
    await end();
  });

  test('isCaughtUp() tells whether the store holds what there was at the time of markNow()', async () => {
    const server = serverWith('a', 'b');
    server.cacheLag = 1;
    const { clock, reflector, stop, end } = start({}, server);
    await reflector.synced();
    assert.deepEqual([namesIn(reflector), reflector.isCaughtUp()], [['a'], false], 'nothing was marked');
    server.put('c');
    await reflector.markNow(stop.signal);
    assert.equal(reflector.isCaughtUp(), false, 'the watch has shown nothing yet');
    await clock.advance(0);
    assert.deepEqual([namesIn(reflector).length, reflector.isCaughtUp()], [3, true]);
    server.put('d');
    assert.equal(reflector.isCaughtUp(), true, 'what came later does not matter');
    await end();
  });

  test('isCaughtUp() after a bookmark alone', async () => {
    const { clock, server, reflector, stop, end } = start({}, serverWith('a'));
    await reflector.synced();
    await clock.advance(0);
    server.bookmark();
    await reflector.markNow(stop.signal);
    await clock.advance(0);
    assert.equal(reflector.isCaughtUp(), true);
    await end();
  });

  test('synced() rejects with the signal’s reason', async () => {
    const server = new ListWatcherDouble();
    server.listFaults.push('error');
    const { reflector, end } = start({}, server);
    await assert.rejects(reflector.synced(AbortSignal.abort(new Error('Enough'))), /Enough/);
    await end();
  });

  test('a watch that breaks at once is resumed, without a list, after a pause', async () => {
    const { clock, reflector, server, end } = start({}, serverWith('a'));
    await reflector.synced();
    server.put('b');
    server.failWatch('resets');
    await clock.advance(0);
    server.put('c');
    await clock.advance(1100);
    assert.deepEqual(namesIn(reflector), ['a', 'b']);
    await clock.advance(100);
    assert.deepEqual(namesIn(reflector), ['a', 'b', 'c']);
    assert.deepEqual(asked(server), ['list 0', 'watch 1', 'watch 2']);
    await end();
  });

  test('a watch that breaks after it has served for a while is resumed at once, and that is no failure', async () => {
    const { clock, log, reflector, server, end } = start({}, serverWith('a'));
    await reflector.synced();
    await clock.advance(1000);
    server.put('b');
    server.failWatch('resets');
    await clock.advance(0);
    assert.deepEqual(asked(server), ['list 0', 'watch 1', 'watch 2']);
    assert.ok(!log.lines.some((line) => line.startsWith('warn')));
    await end();
  });

  test('a watch that ends in good order is resumed at once', async () => {
    const { clock, reflector, server, end } = start({}, serverWith('a'));
    await reflector.synced();
    await clock.advance(300);
    server.put('b');
    server.failWatch('closes');
    await clock.advance(0);
    assert.deepEqual(asked(server), ['list 0', 'watch 1', 'watch 2']);
    await end();
  });

  test('a bookmark keeps the place in the watch recent', async () => {
    const { clock, reflector, server, changes, end } = start({}, serverWith('a'));
    await reflector.synced();
    server.bookmark();
    await clock.advance(0);
    server.compact();
    server.put('b');
    server.failWatch('resets');
    await clock.advance(2000);
    assert.deepEqual(asked(server), ['list 0', 'watch 1', 'watch 3']);
    assert.deepEqual(summary(changes), ['added a', 'added b']);
    await end();
  });

  test('410 as an event leads to a list of the newest state, and deletions are computed', async () => {
    const { clock, reflector, server, changes, end } = start({}, serverWith('a', 'b'));
    await reflector.synced();
    server.put('b');
    server.failWatch('expired');
    await clock.advance(0);
    server.delete('a');
    server.put('c');
    server.compact();
    await clock.advance(2000);
    assert.deepEqual(namesIn(reflector), ['b', 'c']);
    assert.deepEqual(summary(changes), ['added a', 'added b', 'updated b', 'added c', 'deleted a']);
    assert.deepEqual(asked(server).slice(-2), ['list newest', 'watch 5']);
    await end();
  });

  test('410 in the middle of the pages leads to one list in one piece', async () => {
    const server = serverWith('a', 'b', 'c', 'd');
    server.listFaults.push('none', 'expired');
    const { clock, reflector, end } = start({}, server);
    await clock.advance(0);
    assert.deepEqual(namesIn(reflector), ['a', 'b', 'c', 'd']);
    assert.deepEqual(asked(server).slice(0, 3), ['list 0', 'list newest', 'list newest']);
    await end();
  });

  test('a version that the server has not seen yet leads to a list of the newest state', async () => {
    const server = serverWith('a');
    server.listFaults.push('too-large-version');
    const { clock, reflector, end } = start({}, server);
    await clock.advance(2000);
    assert.deepEqual(namesIn(reflector), ['a']);
    assert.deepEqual(asked(server), ['list 0', 'list newest', 'watch 1']);
    await end();
  });

  test('an object that took another’s name while nobody watched is a deletion and an addition', async () => {
    const { clock, reflector, server, changes, end } = start({}, serverWith('a'));
    await reflector.synced();
    server.put('x');
    server.failWatch('expired');
    await clock.advance(0);
    server.delete('a');
    server.put('a', { uid: 'another' });
    server.compact();
    await clock.advance(2000);
    assert.deepEqual(summary(changes), ['added a', 'added x', 'deleted a', 'added a']);
    await end();
  });

  test('an object that is listed again unchanged is no change', async () => {
    const { clock, reflector, server, changes, end } = start({}, serverWith('a'));
    await reflector.synced();
    server.bookmark();
    server.failWatch('expired');
    await clock.advance(2000);
    assert.deepEqual(summary(changes), ['added a']);
    await end();
  });

  test('a silent watch is given up after 150 s and resumed at once, and that is no failure', async () => {
    const { clock, reflector, server, log, end } = start({}, serverWith('a'));
    await reflector.synced();
    server.put('b');
    server.failWatch('silent');
    await clock.advance(149_000);
    server.put('c');
    assert.deepEqual(namesIn(reflector), ['a', 'b']);
    await clock.advance(1000);
    assert.deepEqual(namesIn(reflector), ['a', 'b', 'c']);
    assert.deepEqual(
      log.lines.filter((line) => line.startsWith('warn')),
      [],
    );
    await end();
  });

  test('a watch asks for a random 300 to 600 s and is ended 15 s after that', async () => {
    const { clock, reflector, server, end } = start({}, serverWith('a'));
    await reflector.synced();
    await clock.advance(0);
    for (let minute = 0; minute < 7; minute++) {
      server.bookmark();
      await clock.advance(MINUTE_MS);
    }
    const [watch] = server.calls.filter(({ verb }) => verb === 'watch');
    assert.equal(watch?.verb === 'watch' && watch.options.timeoutSeconds, 450);
    server.bookmark();
    await clock.advance(450_000 + 15_000 - 7 * MINUTE_MS - 1);
    assert.equal(server.calls.filter(({ verb }) => verb === 'watch').length, 1);
    await clock.advance(1);
    assert.equal(server.calls.filter(({ verb }) => verb === 'watch').length, 2);
    await end();
  });

  test('watches that end at once are failures, with growing pauses', async () => {
    const server = serverWith('a');
    server.failWatch('closes', 'closes', 'closes');
    const { clock, end } = start({}, server);
    const times: number[] = [];
    for (let i = 0; i < 20; i++) {
      await clock.advance(500);
      while (times.length < server.calls.length) times.push(clock.monotonicMs());
    }
    // List and watch, then pauses of 800, 1600 and 3200 ms, each half as long again (jitter).
    assert.deepEqual(times, [500, 500, 1500, 4000, 8500]);
    await end();
  });

  test('watches that end at once with an event are failures from the second on', async () => {
    const server = serverWith('a');
    const { clock, end } = start({}, server);
    await clock.advance(0);
    for (let i = 0; i < 3; i++) {
      server.put('a');
      server.failWatch('closes');
      await clock.advance(0);
    }
    assert.deepEqual(asked(server), ['list 0', 'watch 1', 'watch 2']);
    await clock.advance(10_000);
    assert.deepEqual(asked(server).slice(3), ['watch 3', 'watch 4']);
    await end();
  });

  test('pauses grow to 8 s at most, and start over after what has worked for 2 min', async () => {
    const server = serverWith('a');
    server.listFaults.push(...Array.from({ length: 9 }, () => 'error' as const));
    const { clock, reflector, end } = start({}, server);
    const gaps: number[] = [];
    let lastMs = 0;
    for (let calls = 1; !reflector.hasSynced(); ) {
      await clock.advance(100);
      if (server.calls.length <= calls) continue;
      calls = server.calls.length;
      gaps.push(Math.round((clock.monotonicMs() - lastMs) / 1000));
      lastMs = clock.monotonicMs();
    }
    assert.deepEqual(gaps.slice(0, 9), [1, 2, 5, 6, 6, 6, 6, 6, 6]);
    server.bookmark();
    await clock.advance(2 * MINUTE_MS);
    server.bookmark();
    server.failWatch('error');
    await clock.advance(0);
    const before = server.calls.length;
    await clock.advance(1300);
    assert.equal(server.calls.length, before + 1);
    await end();
  });

  test('a refused field selector is given up where accept says the same, and logged once', async () => {
    const server = new ListWatcherDouble();
    server.refusesFieldSelectors = true;
    server.put('a', { colour: 'red' });
    server.put('b', { colour: 'blue' });
    const options = { fieldSelector: 'colour=red', accept: (object: Widget) => object.colour === 'red' };
    const { clock, log, reflector, changes, end } = start(options, server);
    await reflector.synced();
    server.put('b', { colour: 'red' });
    server.put('a', { colour: 'blue' });
    server.put('c', { colour: 'blue' });
    server.failWatch('expired');
    await clock.advance(10_000);
    assert.deepEqual(summary(changes), ['added a', 'added b', 'deleted a']);
    assert.equal(log.lines.filter((line) => line.includes('field selector')).length, 1);
    assert.equal(server.calls.at(-1)?.options.fieldSelector, undefined);
    await end();
  });

  test('a refused field selector without accept stays a failure: nobody asked for everything', async () => {
    const server = serverWith('a');
    server.refusesFieldSelectors = true;
    const { clock, reflector, end } = start({ fieldSelector: 'colour=red' }, server);
    await clock.advance(10_000);
    assert.equal(reflector.hasSynced(), false);
    assert.ok(server.calls.every(({ options }) => options.fieldSelector === 'colour=red'));
    await end();
  });

  test('what a handler, accept, prune or an index throws is logged, and the rest goes on', async () => {
    const picky = (where: string) => (object: Widget) => {
      if (object.metadata.name === where) throw new Error(`Not ${where}`);
      return true;
    };
    const { clock, log, reflector, changes, end } = start(
      {
        accept: picky('accept'),
        prune: (object) => (picky('prune')(object) ? object : object),
        indexes: { any: (object) => (picky('index')(object) ? [] : []) },
      },
      serverWith('accept', 'prune', 'index', 'a'),
    );
    reflector.subscribe(() => {
      throw new Error('Handler');
    });
    await clock.advance(0);
    assert.deepEqual(namesIn(reflector), ['a']);
    assert.deepEqual(summary(changes), ['added a']);
    assert.equal(log.lines.filter((line) => line.includes('Cannot store object')).length, 3);
    assert.equal(log.lines.filter((line) => line.includes('Handler of a change failed')).length, 1);
    await end();
  });

  test('prune decides what is stored; by default managed fields are not', async () => {
    const server = serverWith('a');
    const first = start({ prune: ({ metadata }) => ({ metadata, colour: 'pruned' }) }, server);
    await first.reflector.synced();
    assert.equal(first.reflector.store.get('ns/a')?.colour, 'pruned');
    await first.end();
    const [object] = server.objects().values();
    Object.assign(object?.metadata ?? {}, { managedFields: [] });
    const second = start({}, server);
    await second.reflector.synced();
    assert.ok(!('managedFields' in (second.reflector.store.get('ns/a')?.metadata ?? {})));
    await second.end();
  });

  test('subscribe() begins with what is there, and can be ended', async () => {
    const { clock, reflector, server, end } = start({}, serverWith('a'));
    await reflector.synced();
    const seen: Change<Widget>[] = [];
    const unsubscribe = reflector.subscribe((change) => seen.push(change));
    unsubscribe();
    server.put('b');
    await clock.advance(0);
    assert.deepEqual(summary(seen), ['added a']);
    await end();
  });

  test('nothing starts after the signal has aborted, whatever was under way', async () => {
    const { stop, running, server, clock } = start({}, serverWith('a', 'b', 'c'));
    stop.abort(new Error('Stop in mid-list'));
    await running;
    await clock.advance(10 * MINUTE_MS);
    assert.deepEqual(asked(server), ['list 0']);
    assert.equal(clock.pendingTimers, 0);
  });

  test('lastActivityMs and lastError tell how the server is', async () => {
    const server = serverWith('a');
    server.listFaults.push('error');
    const { clock, reflector, end } = start({}, server);
    await clock.advance(0);
    assert.equal(reflector.lastActivityMs, Number.NEGATIVE_INFINITY);
    assert.match(String(reflector.lastError), /Cannot serve/);
    await clock.advance(2000);
    assert.equal(reflector.lastError, undefined);
    assert.equal(reflector.lastActivityMs, 1200);
    server.bookmark();
    await clock.advance(0);
    assert.equal(reflector.lastActivityMs, 2000);
    await end();
  });
});

describe('Reflector, any sequence of changes and faults', () => {
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('put' as const), name: fc.constantFrom('a', 'b', 'c', 'd', 'e') }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('delete' as const), name: fc.constantFrom('a', 'b', 'c', 'd') }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('recreate' as const), name: fc.constantFrom('a', 'b') }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('bookmark' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lag' as const), versions: fc.nat(4) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('list-fault' as const),
        fault: fc.constantFrom<ListFault>('none', 'error', 'expired', 'too-large-version', 'breaks'),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('watch-fault' as const),
        fault: fc.constantFrom<WatchFault>('error', 'expired', 'resets', 'closes', 'silent'),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(0, 1, 900, 20_000, 400_000) }),
    },
  );

  test('the store ends equal to the server, and the changes told add up to it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.boolean(), async (steps, refusesFieldSelectors) => {
        const server = new ListWatcherDouble();
        server.refusesFieldSelectors = refusesFieldSelectors;
        const options = {
          fieldSelector: 'any',
          accept: () => true,
          indexes: { uid: ({ metadata }: Widget) => [metadata.uid] },
        };
        const { clock, reflector, end } = start(options, server);
        const told = new Map<string, Widget>();
        reflector.subscribe(({ type, current, previous }) => {
          const key = keyOf(current ?? previous);
          assert.equal(told.get(key), previous, 'previous is not what was told last');
          if (type === 'updated') assert.equal(current.metadata.uid, previous.metadata.uid);
          if (current === undefined) told.delete(key);
          else told.set(key, current);
        });
        for (const one of steps) {
          if (one.do === 'put') server.put(one.name);
          else if (one.do === 'delete') server.delete(one.name);
          else if (one.do === 'recreate') {
            server.delete(one.name);
            server.put(one.name, { uid: `again-${server.version}` });
          } else if (one.do === 'bookmark') server.bookmark();
          else if (one.do === 'compact') server.compact();
          else if (one.do === 'lag') server.cacheLag = one.versions;
          else if (one.do === 'list-fault') server.listFaults.push(one.fault);
          else if (one.do === 'watch-fault') server.failWatch(one.fault);
          else await clock.advance(one.ms);
        }
        // All faults are used up, each costing a minute at most; a silent watch costs 150 s.
        await clock.advance(40 * 150_000);
        const expected = server.objects();
        expected.delete('ns/');
        assert.deepEqual(new Map(reflector.store.list().map((object) => [keyOf(object), object])), expected);
        assert.deepEqual(told, expected);
        for (const object of expected.values()) {
          assert.deepEqual(reflector.store.byIndex('uid', object.metadata.uid), [object]);
        }
        await end();
      }),
      { numRuns: 300 },
    );
  });
});
