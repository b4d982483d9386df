/** Events on the real API server: it takes what the recorder writes, and what repeats is one event with a count. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { EventRecorder } from '../src/kubernetes/index.ts';
import { Registry } from '../src/platform/index.ts';
import { CONFIG_MAPS, CountingClock, keepLog, kubectl } from './support/config-maps.ts';
import { createNamespace, getServers } from './support/environment.ts';

interface Event {
  readonly reason: string;
  readonly note: string;
  readonly regarding: { readonly kind: string; readonly name: string; readonly uid: string };
  readonly series?: { readonly count: number };
}

describe('EventRecorder', () => {
  test('writes one event for what happens once, and one series for what repeats', async () => {
    const { controlPlane, cluster } = await getServers();
    const namespace = await createNamespace(cluster, 'events');
    const registry = new Registry();
    const { log, lines } = keepLog();
    const clock = new CountingClock(200); // A series is written once a minute.
    const recorder = new EventRecorder(
      { client: cluster.client, clock, log, random: Math.random, registry, isIdle: () => true },
      { reportingController: 'test.example/controller', reportingInstance: 'test' },
    );
    const stop = new AbortController();
    const running = recorder.run(stop.signal);
    const regarding = { resource: CONFIG_MAPS, namespace, name: 'object', uid: 'uid-of-object' };
    const record = (reason: string, note: string): void =>
      recorder.record({ regarding, type: 'Normal', reason, action: 'Testing', note });
    const events = async (): Promise<Event[]> => {
      const words = ['get', 'events.events.k8s.io', `--namespace=${namespace}`, '--output=json'];
      const { items } = JSON.parse(await kubectl(controlPlane, ...words)) as { items: Event[] };
      return items.toSorted((a, b) => (a.reason < b.reason ? -1 : 1));
    };
    const until = async (isDone: (found: readonly Event[]) => boolean): Promise<readonly Event[]> => {
      let found = await events();
      for (let i = 0; i < 100 && !isDone(found); i++, found = await events()) await sleep(100);
      assert.ok(isDone(found), JSON.stringify(found) + lines.join(''));
      return found;
    };

    record('Once', 'ü'.repeat(1000));
    record('Repeated', 'Again');
    await until(({ length }) => length === 2);
    record('Repeated', 'Again');
    record('Repeated', 'Again');
    const [once, repeated] = await until((found) => found.some(({ series }) => series?.count === 3));
    assert.equal((await events()).length, 2);
    assert.deepEqual(once?.regarding, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      namespace,
      name: 'object',
      uid: 'uid-of-object',
    });
    assert.equal(once?.note, 'ü'.repeat(512));
    assert.equal(repeated?.reason, 'Repeated');
    stop.abort(new Error('The test is over'));
    await running;
    assert.equal(clock.pendingTimers, 0);
  });
});
