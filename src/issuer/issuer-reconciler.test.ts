import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { issuer, ready, secret } from '../../test/support/builders.ts';
import { startCfsslServer } from '../../test/support/cfssl-server.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { EventRecorderDouble, LogRecorder } from '../../test/support/recorders.ts';
import { authority, NOW_MS } from '../../test/support/signing.ts';
import { notFound, StatusClientDouble, unavailable } from '../../test/support/status-client.ts';
import { WatchesDouble } from '../../test/support/watches-double.ts';
import type { Issuer, IssuerStatus } from '../api/index.ts';
import { Store } from '../kubernetes/index.ts';
import { Registry } from '../platform/index.ts';
import { IssuerReconciler } from './issuer-reconciler.ts';
import { IssuerMetrics } from './metrics.ts';

const KEY = '00ff';
const ID = 'Issuer/team/ca';
const NOW = '2026-11-24T12:00:00Z';
const ca = authority('CA');

/** A reconciler with the Issuer `team/ca`, its CFSSL and its Secret, all in order. */
async function start(t: TestContext, { random = () => 0.5 }: { readonly random?: () => number } = {}) {
  const cfssl = await startCfsslServer(t, { caPem: ca.certificate.pem, key: KEY });
  const clock = new ManualClock(NOW_MS);
  const watches = new WatchesDouble();
  watches.set('Secret', secret({ key: KEY }));
  watches.set('Secret', secret({ key: KEY }, { namespace: 'system' }));
  const issuers = new Store<Issuer>();
  const clusterIssuers = new Store<Issuer>();
  const spec = { url: cfssl.url, authSecretName: 'ca-key', label: 'main' };
  issuers.put(issuer({ spec }));
  const api = new StatusClientDouble();
  const events = new EventRecorderDouble();
  const log = new LogRecorder();
  const registry = new Registry();
  const enqueued: string[] = [];
  const woken: string[] = [];
  const reconciler = new IssuerReconciler(
    {
      clock,
      log,
      random,
      watches: watches.asNamedObjectWatches(),
      client: api.asKubernetesClient(),
      events: events.asEventRecorder(),
      metrics: new IssuerMetrics(registry),
      stores: { issuers, clusterIssuers },
      enqueue: (id) => enqueued.push(id),
      onReady: (id) => woken.push(id),
    },
    { clusterResourceNamespace: 'system' },
  );
  t.after(async () => {
    await reconciler.close();
    assert.deepEqual(watches.watched, []);
    assert.equal(clock.pendingTimers, 0);
  });
  const { signal } = new AbortController();
  return {
    cfssl,
    watches,
    issuers,
    clusterIssuers,
    spec,
    api,
    events,
    log,
    enqueued,
    woken,
    reconciler,
    reconcile: (id: string = ID) => reconciler.reconcile(id, signal),
    /** Shows in the store what was written last. */
    showStatus: () => {
      const status = api.applied.at(-1)?.object.status as IssuerStatus;
      issuers.put({ ...issuer({ spec }), status });
    },
    gauges: async () => {
      const lines = (await registry.metrics()).split('\n');
      return lines.filter((line) => /^cfssl_issuer_(ready|ca_not_after_seconds)\{/.test(line));
    },
  };
}

describe('IssuerReconciler', () => {
  test('an issuer that can sign is Ready: one write, one event, its requests are woken', async (t) => {
    const { cfssl, api, events, log, woken, reconciler, issuers, reconcile, gauges } = await start(t);
    assert.deepEqual(await reconcile(), { requeueAfterMs: 60_000 });
    assert.deepEqual(api.applied, [
      {
        resource: 'Issuer',
        object: {
          metadata: { name: 'ca', namespace: 'team', resourceVersion: '1' },
          status: {
            conditions: [
              {
                type: 'Ready',
                status: 'True',
                reason: 'Checked',
                message: 'Succeeded checking the issuer',
                observedGeneration: 1,
                lastTransitionTime: NOW,
              },
            ],
            endpoints: [{ url: cfssl.url, reachable: true }],
            ca: { subject: 'CN=CA', sha256: ca.certificate.sha256Hex, notAfter: '2026-11-24T13:00:00Z' },
            keyInUse: 'key',
          },
        },
        fieldManager: 'cfssl-issuer.wikimedia.org',
      },
    ]);
    assert.deepEqual(events.lines, ['Normal Checked: Succeeded checking the issuer']);
    assert.deepEqual(log.fieldsOf('Issuer is ready'), [
      { issuer: ID, reason: 'Checked', message: 'Succeeded checking the issuer' },
    ]);
    assert.deepEqual(woken, [ID]);
    const object = issuers.get('team/ca');
    assert.ok(object !== undefined && reconciler.readyFor(ID, object) !== undefined);
    assert.deepEqual(await gauges(), [
      'cfssl_issuer_ready{kind="Issuer",namespace="team",name="ca"} 1',
      'cfssl_issuer_ca_not_after_seconds{kind="Issuer",namespace="team",name="ca"} 1795525200',
    ]);
  });

  test('checked again without news, nothing is written, told or woken', async (t) => {
    const { api, events, woken, reconcile, showStatus } = await start(t);
    await reconcile();
    showStatus();
    await reconcile();
    assert.deepEqual([api.applied.length, events.lines.length, woken.length], [1, 1, 1]);
  });

  test('an issuer that cannot sign is not Ready, with the reason', async (t) => {
    const { watches, api, events, log, woken, reconciler, issuers, reconcile, gauges } = await start(t);
    watches.remove('Secret team/ca-key');
    assert.deepEqual(await reconcile(), { requeueAfterMs: 1000 });
    const message = 'Secret team/ca-key does not exist; create it';
    assert.deepEqual(
      api.applied.map(({ object }) => object.status),
      [
        {
          conditions: [
            {
              type: 'Ready',
              status: 'False',
              reason: 'SecretNotFound',
              message,
              observedGeneration: 1,
              lastTransitionTime: NOW,
            },
          ],
        },
      ],
    );
    const [{ regarding, ...event } = {}] = events.records;
    assert.deepEqual(event, { type: 'Warning', reason: 'SecretNotFound', action: 'SyncFailed', note: message });
    assert.equal(regarding?.uid, 'uid-issuer');
    assert.deepEqual(log.fieldsOf('Issuer is not ready'), [{ issuer: ID, reason: 'SecretNotFound', message }]);
    assert.deepEqual(woken, []);
    const object = issuers.get('team/ca');
    assert.ok(object !== undefined);
    assert.equal(reconciler.readyFor(ID, object), undefined);
    assert.deepEqual(await gauges(), ['cfssl_issuer_ready{kind="Issuer",namespace="team",name="ca"} 0']);
  });

  test('while it is not ready it is checked after 1, 2, then every 5 seconds, from the start each time', async (t) => {
    const { watches, woken, reconcile } = await start(t);
    for (const round of ['1', '2']) {
      watches.remove('Secret team/ca-key');
      const delays: unknown[] = [];
      for (let time = 0; time < 5; time += 1) delays.push(await reconcile());
      assert.deepEqual(
        delays,
        [1000, 2000, 5000, 5000, 5000].map((requeueAfterMs) => ({ requeueAfterMs })),
      );
      watches.set('Secret', secret({ key: KEY }, { resourceVersion: round }));
      assert.deepEqual(await reconcile(), { requeueAfterMs: 60_000 });
    }
    assert.deepEqual(woken, [ID, ID]);
  });

  for (const [name, random, requeueAfterMs] of [
    ['early', 0, 54_000],
    ['late', 0.75, 63_000],
  ] as const) {
    test(`a health check may come ${name}, so that issuers spread over time`, async (t) => {
      const { reconcile } = await start(t, { random: () => random });
      assert.deepEqual(await reconcile(), { requeueAfterMs });
    });
  }

  test('a change of the Secret enqueues the issuer, and its requests are woken after the check', async (t) => {
    const { cfssl, watches, enqueued, woken, reconcile } = await start(t);
    await reconcile();
    cfssl.key = 'aaaa';
    watches.set('Secret', secret({ key: 'aaaa' }, { resourceVersion: '2' }));
    assert.deepEqual(enqueued, [ID]);
    await reconcile();
    assert.deepEqual(woken, [ID, ID]);
  });

  test('verify() takes an issuer at fault out of service, and the next check reports it', async (t) => {
    const { cfssl, api, enqueued, reconciler, reconcile, showStatus } = await start(t);
    await reconcile();
    showStatus();
    assert.equal(await reconciler.verify(ID), undefined);
    cfssl.key = 'aaaa';
    assert.equal((await reconciler.verify(ID))?.reason, 'AuthenticationFailed');
    assert.deepEqual(enqueued, [ID]);
    await reconcile();
    const status = api.applied.at(-1)?.object.status as IssuerStatus;
    assert.equal(status.conditions?.[0]?.reason, 'AuthenticationFailed');
  });

  test('reportMismatch() takes the issuer out of service, and the next check reports it', async (t) => {
    const { api, enqueued, reconciler, reconcile } = await start(t);
    await reconcile();
    reconciler.reportMismatch(ID, 'Another key');
    assert.deepEqual(enqueued, [ID]);
    await reconcile();
    const status = api.applied.at(-1)?.object.status as IssuerStatus;
    const { reason, message } = status.conditions?.[0] ?? {};
    assert.deepEqual([reason, message], ['CertificateMismatch', 'Another key']);
  });

  test('an issuer that was never checked has no verdict', async (t) => {
    const { reconciler, enqueued } = await start(t);
    assert.equal(reconciler.readyFor(ID, issuer()), undefined);
    assert.equal(await reconciler.verify(ID), undefined);
    reconciler.reportMismatch(ID, 'Another key');
    assert.deepEqual(enqueued, []);
  });

  test("a ClusterIssuer's Secret lies in the cluster resource namespace", async (t) => {
    const { clusterIssuers, spec, api, events, watches, woken, reconcile } = await start(t);
    const { namespace: _, ...metadata } = issuer().metadata;
    clusterIssuers.put({ metadata: { ...metadata, uid: 'uid-cluster' }, spec });
    assert.deepEqual(await reconcile('ClusterIssuer/ca'), { requeueAfterMs: 60_000 });
    assert.deepEqual(watches.watched, ['Secret system/ca-key']);
    assert.deepEqual(
      api.applied.map(({ resource, object }) => ({ resource, metadata: object.metadata })),
      [{ resource: 'ClusterIssuer', metadata: { name: 'ca', namespace: undefined, resourceVersion: '1' } }],
    );
    assert.equal(events.records[0]?.regarding.uid, 'uid-cluster');
    assert.deepEqual(woken, ['ClusterIssuer/ca']);
  });

  test('a status is ours as it was last reported, from before it is written, and not as others make it', async (t) => {
    const { issuers, spec, reconciler, reconcile, showStatus } = await start(t);
    const isOurs = (object = issuers.get('team/ca')): boolean => object !== undefined && reconciler.isOurs(ID, object);
    assert.equal(isOurs(), false);
    await reconcile();
    assert.equal(isOurs(), false);
    showStatus();
    assert.equal(isOurs(), true);
    await reconcile();
    assert.equal(isOurs(), true);
    assert.equal(isOurs(issuer({ spec, conditions: [ready({ status: 'False', reason: 'Rubbish' })] })), false);
  });

  test('an issuer that is gone does not wait for its calls under way', async (t) => {
    const { cfssl, issuers, reconciler, reconcile } = await start(t);
    await reconcile();
    const { promise, resolve } = Promise.withResolvers<void>();
    cfssl.held = promise;
    const verified = reconciler.verify(ID);
    issuers.remove('team/ca');
    assert.equal(await reconcile(), undefined);
    resolve();
    assert.equal(await verified, undefined);
  });

  for (const [name, remove] of [
    ['gone', (issuers: Store<Issuer>) => issuers.remove('team/ca')],
    [
      'being deleted',
      (issuers: Store<Issuer>) => issuers.put(issuer({ metadata: { deletionTimestamp: '2026-11-24T12:00:00Z' } })),
    ],
  ] as const) {
    test(`of an issuer that is ${name} nothing is kept`, async (t) => {
      const { api, issuers, watches, reconciler, reconcile, gauges } = await start(t);
      await reconcile();
      const object = issuers.get('team/ca');
      remove(issuers);
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(watches.watched, []);
      assert.deepEqual(await gauges(), []);
      assert.ok(object !== undefined);
      assert.equal(reconciler.readyFor(ID, object), undefined);
      assert.equal(api.applied.length, 1);
    });
  }

  test('an issuer that is gone when its status is written is no failure', async (t) => {
    const { api, events, reconcile } = await start(t);
    api.applyErrors.push(notFound());
    assert.deepEqual(await reconcile(), { requeueAfterMs: 60_000 });
    assert.deepEqual(events.lines, []);
  });

  test('a status that cannot be written rejects, and is written the next time', async (t) => {
    const { api, events, reconcile } = await start(t);
    const failure = unavailable();
    api.applyErrors.push(failure);
    await assert.rejects(reconcile(), failure);
    assert.deepEqual(events.lines, []);
    await reconcile();
    assert.equal(api.applied.length, 2);
    assert.deepEqual(events.lines, ['Normal Checked: Succeeded checking the issuer']);
  });

  test('requests are woken also when the first status write failed', async (t) => {
    const { api, woken, reconcile } = await start(t);
    api.applyErrors.push(unavailable());
    await assert.rejects(reconcile());
    await reconcile();
    assert.deepEqual(woken, [ID]);
  });

  test('a check that is cancelled rejects, and nothing is written', async (t) => {
    const { api, events, reconciler } = await start(t);
    const reason = new Error('Stopped');
    await assert.rejects(reconciler.reconcile(ID, AbortSignal.abort(reason)), reason);
    assert.deepEqual([api.applied, events.records], [[], []]);
  });
});
