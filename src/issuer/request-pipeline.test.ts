import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, certificateRequest, DENIED, ready, signingRequest } from '../../test/support/builders.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { EventRecorderDouble, LogRecorder } from '../../test/support/recorders.ts';
import type { CertificateRequest, CertificateSigningRequest, Condition, Issuer } from '../api/index.ts';
import { type KubernetesClient, Store, type WatchEvent } from '../kubernetes/index.ts';
import { Registry } from '../platform/index.ts';
import { certificateRequestKind } from './certificate-request-kind.ts';
import { IssuerMetrics } from './metrics.ts';
import type { AnyRequest, RequestKind } from './request-kind.ts';
import { RequestPipeline, type RequestPipelineOptions } from './request-pipeline.ts';
import { signingRequestKind } from './signing-request-kind.ts';

/** Lets a pipeline see what is listed and what happens then, and gives it with the keys that it queued meanwhile. */
async function watch<R extends AnyRequest>(
  kind: RequestKind<R>,
  listed: readonly R[],
  happens: readonly WatchEvent<R>[] = [],
  options: Pick<RequestPipelineOptions, 'namespaces'> = {},
) {
  const clock = new ManualClock();
  const stop = new AbortController();
  const client = {
    listEach: async (_: unknown, __: unknown, onObject: (request: R) => void) => {
      for (const request of listed) onObject(request);
      return await Promise.resolve({ resourceVersion: '1' });
    },
    watch: async function* () {
      yield* happens;
      await clock.sleep(60_000, { signal: stop.signal });
    },
  } as unknown as KubernetesClient;
  const queued: string[] = [];
  const delayed: [key: string, delayMs: number][] = [];
  const pipeline = new RequestPipeline(
    kind,
    {
      clock,
      client,
      random: () => 0,
      log: new LogRecorder(),
      events: new EventRecorderDouble().asEventRecorder(),
      metrics: new IssuerMetrics(new Registry()),
      stores: { issuers: new Store<Issuer>(), clusterIssuers: new Store<Issuer>() },
      issuers: {
        readyFor: () => undefined,
        verify: () => Promise.resolve(undefined),
        reportMismatch: () => {},
        warnOnce: () => {},
      },
      assertMaySign: () => {},
      enqueue: (key) => queued.push(key),
      enqueueAfter: (key, delayMs) => delayed.push([key, delayMs]),
    },
    { requireApproval: true, maxRetryDurationMs: 0, ...options },
  );
  const watching = pipeline.watch(stop.signal);
  await clock.advance(0);
  stop.abort(new Error('The test is over'));
  await watching;
  return { pipeline, queued, delayed };
}

/** A request of that name; its state follows. */
const requestOf = (name: string, ...conditions: readonly Condition[]): CertificateSigningRequest =>
  signingRequest({ metadata: { name, uid: `uid-${name}` }, status: { conditions } });
const foreign = signingRequest({ metadata: { name: 'theirs' }, spec: { signerName: 'kubernetes.io/kubelet-serving' } });

describe('RequestPipeline', () => {
  test('queues what is open, and keeps nothing that is not ours', async () => {
    const listed = [requestOf('new'), requestOf('approved', APPROVED), requestOf('denied', DENIED), foreign];
    const { pipeline, queued } = await watch(signingRequestKind, listed);
    assert.equal(pipeline.hasSynced(), true);
    assert.deepEqual(queued, ['new', 'approved']);
    assert.equal(pipeline.issuerIdOf('new'), 'Issuer/team/ca');
    assert.equal(pipeline.issuerIdOf('denied'), 'Issuer/team/ca');
    assert.equal(pipeline.issuerIdOf('theirs'), '');
  });

  test('that serves some namespaces leaves requests of ClusterIssuers to others', async () => {
    const issuerRef = { group: 'cfssl-issuer.wikimedia.org', name: 'ca' };
    const listed = (['Issuer', 'ClusterIssuer'] as const).map((kind) =>
      certificateRequest({ metadata: { name: kind.toLowerCase() }, spec: { issuerRef: { ...issuerRef, kind } } }),
    );
    const all = await watch(certificateRequestKind, listed);
    assert.deepEqual(all.queued, ['team/issuer', 'team/clusterissuer']);
    const some = await watch(certificateRequestKind, listed, [], { namespaces: ['team'] });
    assert.deepEqual(some.queued, ['team/issuer']);
  });

  test('wakes the open requests of one issuer', async () => {
    const other = signingRequest({
      metadata: { name: 'other' },
      spec: { signerName: 'clusterissuers.cfssl-issuer.wikimedia.org/ca' },
    });
    const { pipeline, queued } = await watch(signingRequestKind, [requestOf('a'), requestOf('b', DENIED), other]);
    queued.length = 0;
    pipeline.wakeRequestsOf('Issuer/team/ca');
    assert.deepEqual(queued, ['a']);
    pipeline.wakeRequestsOf('ClusterIssuer/ca');
    assert.deepEqual(queued, ['a', 'other']);
  });

  test('queues a request that somebody made look unfinished after a pause, longer each time, and another one at once', async () => {
    const done = certificateRequest({ conditions: [APPROVED, ready({ reason: 'Issued' })] });
    const open = certificateRequest({ conditions: [APPROVED, ready({ status: 'False', reason: 'Pending' })] });
    const happens = [open, done, open, open, done, certificateRequest({ metadata: { uid: 'uid-2' } })];
    const { queued, delayed } = await watch(
      certificateRequestKind,
      [done],
      happens.map(({ metadata, ...rest }, i) => {
        return {
          type: 'MODIFIED' as const,
          object: { metadata: { ...metadata, resourceVersion: `${i + 2}` }, ...rest },
        };
      }),
    );
    assert.deepEqual(delayed, [
      ['team/request', 1_000],
      ['team/request', 2_000],
    ]);
    assert.deepEqual(queued, ['team/request']);
  });

  test('queues a request again when an approver has judged it, and not for our own writes', async () => {
    const states: readonly CertificateRequest[] = [
      certificateRequest({ conditions: [APPROVED] }),
      certificateRequest({ conditions: [APPROVED, ready({ status: 'False', reason: 'Pending' })] }),
      certificateRequest({ conditions: [APPROVED, DENIED, ready({ status: 'False', reason: 'Pending' })] }),
      certificateRequest({ conditions: [APPROVED, DENIED, ready({ status: 'False', reason: 'Denied' })] }),
    ];
    const queuedAfter: number[] = [];
    for (let count = 0; count <= states.length; count += 1) {
      const happens = states.slice(0, count).map(({ metadata, ...rest }, i) => {
        return {
          type: 'MODIFIED' as const,
          object: { metadata: { ...metadata, resourceVersion: `${i + 2}` }, ...rest },
        };
      });
      const { queued } = await watch(certificateRequestKind, [certificateRequest()], happens);
      queuedAfter.push(queued.length);
    }
    assert.deepEqual(queuedAfter, [1, 2, 2, 3, 3]);
  });
});
