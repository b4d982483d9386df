import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { Registry } from '../platform/index.ts';
import { KubernetesError } from './errors.ts';
import { type EventRecord, EventRecorder, type EventRecorderDeps, type EventRecorderOptions } from './events.ts';
import { hang, LogDouble, WIDGETS } from './testing/test-support.ts';

interface Sent {
  readonly verb: 'create' | 'patch';
  readonly atMs: number;
  readonly object: Record<string, unknown>;
}

function event(reason = 'Tested', rest: Partial<EventRecord> = {}): EventRecord {
  const regarding = { resource: WIDGETS, namespace: 'ns', name: 'a', uid: 'u' };
  return { regarding, type: 'Normal', reason, action: 'Testing', note: 'A note', ...rest };
}

function start(options: Partial<EventRecorderOptions> = {}) {
  const clock = new ManualClock();
  const registry = new Registry();
  const log = new LogDouble();
  const stop = new AbortController();
  const sent: Sent[] = [];
  /** What the next calls fail with, or wait for. */
  const failures: (KubernetesError | 'hang' | Promise<void>)[] = [];
  const state = { isIdle: true };
  const call = async (verb: Sent['verb'], object: object, signal: AbortSignal | undefined): Promise<never> => {
    const failure = failures.shift();
    await Promise.resolve();
    if (failure === 'hang') await hang(signal);
    else if (failure instanceof Promise) await failure;
    else if (failure !== undefined) throw failure;
    sent.push({ verb, atMs: clock.monotonicMs(), object: object as Sent['object'] });
    return object as never;
  };
  const client: EventRecorderDeps['client'] = {
    create: (_, object, options) => call('create', object, options?.signal),
    mergePatch: (_, { signal, name }, patch) => call('patch', { name, ...patch }, signal),
  };
  const recorder = new EventRecorder(
    { client, clock, log, registry, random: () => 0.5, isIdle: () => state.isIdle },
    { reportingController: 'test.io/controller', reportingInstance: 'pod-1', ...options },
  );
  const running = recorder.run(stop.signal);
  const count = async (outcome: string): Promise<number> => {
    const metric = await registry.getSingleMetric('kubernetes_events_total')?.get();
    return metric?.values.find(({ labels }) => labels['outcome'] === outcome)?.value ?? Number.NaN;
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await clock.advance(10_000);
    await running;
    assert.equal(clock.pendingTimers, 0);
  };
  return { clock, recorder, sent, failures, state, stop, running, end, count, log };
}

const reasons = (sent: readonly Sent[]): unknown[] => sent.map(({ object }) => object['reason'] ?? 'patch');

describe('EventRecorder', () => {
  test('an event is sent as events.k8s.io/v1 has it, at once when idle', async () => {
    const { clock, recorder, sent, end } = start();
    recorder.record(event());
    await clock.advance(0);
    assert.deepEqual(sent, [
      {
        verb: 'create',
        atMs: 0,
        object: {
          metadata: { name: 'a.800000000000', namespace: 'ns' },
          eventTime: '2026-01-01T00:00:00.000000Z',
          reportingController: 'test.io/controller',
          reportingInstance: 'pod-1',
          type: 'Normal',
          reason: 'Tested',
          action: 'Testing',
          note: 'A note',
          regarding: { apiVersion: 'test.io/v1', kind: 'Widget', namespace: 'ns', name: 'a', uid: 'u' },
        },
      },
    ]);
    await end();
  });

  test('an event about a cluster-scoped object goes to the namespace default', async () => {
    const { clock, recorder, sent, end } = start();
    recorder.record(event('Tested', { regarding: { resource: WIDGETS, name: 'a', uid: 'u' } }));
    await clock.advance(0);
    assert.deepEqual(sent[0]?.object['metadata'], { name: 'a.800000000000', namespace: 'default' });
    await end();
  });

  test('a note is cut to 1024 bytes of whole characters, a name to what the API takes', async () => {
    const { clock, recorder, sent, end } = start();
    const name = `${'a'.repeat(239)}.${'b'.repeat(13)}`;
    recorder.record(event('Tested', { note: `x${'ü'.repeat(600)}`, regarding: { resource: WIDGETS, name, uid: 'u' } }));
    await clock.advance(0);
    assert.equal(sent[0]?.object['note'], `x${'ü'.repeat(511)}`);
    const metadata = sent[0]?.object['metadata'] as { name: string };
    assert.equal(metadata.name, `${'a'.repeat(239)}.800000000000`);
    await end();
  });

  test('what repeats becomes a series: merged while it waits, written again after a minute, new after six', async () => {
    const { clock, recorder, sent, count, end } = start();
    recorder.record(event());
    recorder.record(event());
    await clock.advance(30_000);
    recorder.record(event());
    recorder.record(event());
    await clock.advance(59_000);
    assert.equal(sent.length, 1);
    assert.deepEqual(sent[0]?.object['series'], { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' });
    await clock.advance(1100);
    assert.deepEqual(sent[1]?.object, {
      name: 'a.800000000000',
      series: { count: 4, lastObservedTime: '2026-01-01T00:00:30.000000Z' },
    });
    assert.equal(await count('merged'), 3);
    await clock.advance(360_000);
    recorder.record(event());
    await clock.advance(0);
    assert.equal(sent[2]?.verb, 'create');
    assert.equal(sent[2]?.object['series'], undefined);
    await end();
  });

  test('what happens while its event is being sent is told later', async () => {
    const { clock, recorder, sent, failures, end } = start();
    const { promise, resolve } = Promise.withResolvers<void>();
    failures.push(promise);
    recorder.record(event());
    await clock.advance(0);
    recorder.record(event());
    resolve();
    await clock.advance(0);
    assert.equal(sent[0]?.object['series'], undefined);
    await clock.advance(61_000);
    assert.deepEqual(sent[1]?.object['series'], { count: 2, lastObservedTime: '2026-01-01T00:00:00.000000Z' });
    await end();
  });

  test('a series whose event has expired is written anew', async () => {
    const { clock, recorder, sent, failures, end } = start();
    recorder.record(event());
    await clock.advance(0);
    recorder.record(event());
    failures.push(new KubernetesError('KUBERNETES_API', 'Gone', { status: 404 }));
    await clock.advance(61_000);
    assert.deepEqual(
      sent.map(({ verb }) => verb),
      ['create', 'create'],
    );
    await end();
  });

  test('yields to the main work: nothing for 10 s, then one a second', async () => {
    const { clock, recorder, sent, state, end } = start();
    state.isIdle = false;
    for (const reason of ['One', 'Two', 'Three', 'Four']) recorder.record(event(reason));
    await clock.advance(9900);
    assert.deepEqual(sent, []);
    await clock.advance(1600);
    assert.deepEqual(reasons(sent), ['One', 'Two']);
    state.isIdle = true;
    await clock.advance(1000);
    assert.deepEqual(reasons(sent), ['One', 'Two', 'Three', 'Four']);
    await end();
  });

  test('what does not fit is dropped and counted; record() never throws', async () => {
    const { clock, recorder, sent, state, count, end } = start({ maxQueued: 2 });
    state.isIdle = false;
    for (const reason of ['One', 'Two', 'Three', 'Two']) recorder.record(event(reason));
    state.isIdle = true;
    await clock.advance(1000);
    assert.deepEqual(reasons(sent), ['One', 'Two']);
    assert.deepEqual([await count('sent'), await count('merged'), await count('dropped')], [2, 1, 1]);
    await end();
  });

  test('a temporary failure is tried again, with pauses; another is counted, and the rest goes on', async () => {
    const { clock, recorder, sent, failures, count, log, end } = start();
    const temporary = new KubernetesError('KUBERNETES_CONNECTION', 'Refused');
    failures.push(temporary, temporary);
    recorder.record(event('One'));
    await clock.advance(3000);
    assert.deepEqual(reasons(sent), ['One']);
    failures.push(new KubernetesError('KUBERNETES_API', 'Namespace is terminating', { status: 403 }));
    recorder.record(event('Two'));
    recorder.record(event('Three'));
    await clock.advance(1000);
    assert.deepEqual(reasons(sent), ['One', 'Three']);
    assert.equal(await count('failed'), 1);
    assert.ok(log.lines.includes('warn Cannot send event, dropping it'));
    await end();
  });

  test('gives up after twelve tries', async () => {
    const { clock, recorder, failures, count, end } = start();
    failures.push(...Array.from({ length: 12 }, () => new KubernetesError('KUBERNETES_TIMEOUT', 'No answer')));
    recorder.record(event());
    await clock.advance(120_000);
    assert.equal(await count('failed'), 1);
    await end();
  });

  test('a stop sends what waits, for 2 s at most', async () => {
    const { clock, recorder, sent, state, stop, running, failures, count } = start();
    state.isIdle = false;
    recorder.record(event('One'));
    recorder.record(event('Two'));
    await clock.advance(0);
    stop.abort();
    await clock.advance(0);
    await running;
    assert.deepEqual(reasons(sent), ['One', 'Two']);

    const other = start();
    other.state.isIdle = false;
    other.failures.push('hang');
    other.recorder.record(event('One'));
    await other.clock.advance(0);
    other.stop.abort();
    await other.clock.advance(2000);
    await other.running;
    assert.equal(await other.count('dropped'), 1);
    assert.equal(await count('dropped'), 0);
    assert.deepEqual(failures, []);
  });
});
