import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, certificateRequest, DENIED, issuer, ready } from '../../test/support/builders.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { EventRecorderDouble, LogRecorder } from '../../test/support/recorders.ts';
import {
  authority,
  CfsslDouble,
  cfsslError,
  issue,
  NOW_MS,
  newCsr,
  readyIssuer,
  signAnswer,
} from '../../test/support/signing.ts';
import { conflict, invalid, notFound, StatusClientDouble, unavailable } from '../../test/support/status-client.ts';
import type { CertificateRequest, CertificateRequestStatus, Condition, Issuer } from '../api/index.ts';
import { Store } from '../kubernetes/index.ts';
import { Registry } from '../platform/index.ts';
import { certificateRequestKind } from './certificate-request-kind.ts';
import { IssuerProblem } from './issuer-problem.ts';
import type { ReadyIssuer } from './issuer-session.ts';
import { IssuerMetrics } from './metrics.ts';
import { RequestReconciler } from './request-reconciler.ts';

const KEY = 'team/request';
const NOW = '2026-11-24T12:00:00Z';
const csr = newCsr();
const ca = authority('CA');
const certificatePem = issue(csr, ca);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const unreachable = new IssuerProblem('Unreachable', 'No answer; check the network');
const badRequest = () => cfsslError('CFSSL_BAD_REQUEST');
const stopped = new Error('Stopped');

/** An approved request for `csr`. */
function approvedRequest(overrides: Parameters<typeof certificateRequest>[0] = {}): CertificateRequest {
  return certificateRequest({
    conditions: [APPROVED],
    ...overrides,
    spec: { request: csr.base64, username: 'alice', ...overrides.spec },
  });
}

const readyCondition = (overrides: Partial<Condition>): Condition => ({
  type: 'Ready',
  status: 'False',
  lastTransitionTime: NOW,
  ...overrides,
});
const issued: CertificateRequestStatus = {
  conditions: [
    readyCondition({ status: 'True', reason: 'Issued', message: 'Succeeded signing the CertificateRequest' }),
  ],
  certificate: base64(certificatePem),
  ca: base64(ca.certificate.pem),
};
const failedBecause = (message: string): CertificateRequestStatus => ({
  conditions: [
    readyCondition({ reason: 'Failed', message: `Failed permanently to sign CertificateRequest: ${message}` }),
  ],
  failureTime: NOW,
});
const pendingBecause = (message: string): CertificateRequestStatus => ({
  conditions: [readyCondition({ reason: 'Pending', message })],
});
const BAD_REQUEST = badRequest().message;

interface Given {
  /** In the store at the beginning; an approved one by default, none for `null`. */
  readonly request?: CertificateRequest | null;
  readonly issuer?: Issuer | null;
  /** Whether the last check of the issuer by this process passed. */
  readonly isChecked?: boolean;
  readonly requireApproval?: boolean;
}

/** A reconciler and all that it touches. `trace` tells POSTs, probes and writes in their order. */
function start({ request = approvedRequest(), issuer: given, isChecked = true, requireApproval = true }: Given = {}) {
  const clock = new ManualClock(NOW_MS);
  const requests = new Store<CertificateRequest>();
  if (request !== null) requests.put(request);
  const issuers = new Store<Issuer>();
  if (given !== null) issuers.put(given ?? issuer({ conditions: [ready()] }));
  const api = new StatusClientDouble();
  const events = new EventRecorderDouble();
  const log = new LogRecorder();
  const registry = new Registry();
  const cfssl = new CfsslDouble();
  const mismatches: string[] = [];
  const trace: string[] = [];
  /** What `verify()` answers, in order; then the issuer is innocent. */
  const verdicts: (IssuerProblem | Error | undefined)[] = [];
  const state: { ready: ReadyIssuer | undefined; veto: Error | undefined; isCaughtUp: boolean } = {
    ready: isChecked ? readyIssuer(cfssl, ca) : undefined,
    veto: undefined,
    isCaughtUp: true,
  };
  const reconciler = new RequestReconciler(
    certificateRequestKind,
    {
      clock,
      random: () => 0,
      log,
      client: api.asKubernetesClient(),
      events: events.asEventRecorder(),
      metrics: new IssuerMetrics(registry),
      requests,
      isCaughtUp: () => state.isCaughtUp,
      stores: { issuers, clusterIssuers: new Store<Issuer>() },
      issuers: {
        readyFor: () => state.ready,
        verify: async (id) => {
          trace.push(`verify ${id}`);
          const verdict = verdicts.shift();
          if (verdict instanceof Error && !(verdict instanceof IssuerProblem)) throw verdict;
          return await Promise.resolve(verdict);
        },
        reportMismatch: (id, message) => mismatches.push(`${id}: ${message}`),
        warnOnce: ({ id }, warning) => trace.push(`warn ${id} ${warning}`),
      },
      assertMaySign: () => {
        if (state.veto !== undefined) throw state.veto;
        trace.push('post');
      },
    },
    { requireApproval, maxRetryDurationMs: 300_000 },
  );
  const abort = new AbortController();
  return {
    clock,
    requests,
    issuers,
    api,
    events,
    log,
    cfssl,
    mismatches,
    trace,
    verdicts,
    state,
    abort,
    reconciler,
    /** Time goes on while it waits. */
    reconcile: async () => {
      const settled = new AbortController();
      const done = reconciler.reconcile(KEY, abort.signal).finally(() => settled.abort());
      done.catch(() => {});
      await clock.advance(0);
      while (!settled.signal.aborted) await clock.advance(100);
      return await done;
    },
    /** The statuses that were sent. */
    statuses: () => api.applied.map(({ object }) => object.status as CertificateRequestStatus),
    /** Signings by how they ended, and POSTs whose outcome is not known. */
    counts: async () => {
      const counts: Record<string, number> = {};
      for (const { name, values } of await registry.getMetricsAsJSON()) {
        if (!/signings/.test(name)) continue;
        for (const { labels, value } of values) counts[String(labels['result'] ?? 'unknown')] = value;
      }
      return counts;
    },
  };
}

describe('RequestReconciler', () => {
  describe('signs an approved request', () => {
    test('with one POST and one write, an event, an audit line and a count', async () => {
      const { reconcile, cfssl, api, events, log, counts, reconciler, requests } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, [{ csrPem: csr.pem, bundle: false }]);
      assert.deepEqual(api.applied, [
        {
          resource: 'CertificateRequest',
          object: { metadata: { name: 'request', namespace: 'team', resourceVersion: '1' }, status: issued },
          fieldManager: 'cfssl-issuer.wikimedia.org',
        },
      ]);
      assert.equal(api.readCount, 0);
      const [event, ...furtherEvents] = events.records;
      assert.deepEqual(furtherEvents, []);
      assert.deepEqual(
        { ...event, regarding: { ...event?.regarding, resource: event?.regarding.resource.kind } },
        {
          regarding: { resource: 'CertificateRequest', namespace: 'team', name: 'request', uid: 'uid-request' },
          type: 'Normal',
          reason: 'Issued',
          action: 'Synced',
          note: 'Succeeded signing the CertificateRequest',
        },
      );
      const [{ sha256, ...audit } = {}, ...furtherLines] = log.fieldsOf('Certificate issued');
      assert.deepEqual(furtherLines, []);
      assert.match(String(sha256), /^[0-9a-f]{64}$/);
      assert.deepEqual(audit, {
        namespace: 'team',
        name: 'request',
        uid: 'uid-request',
        requester: 'alice',
        issuer: 'Issuer/team/ca',
        label: 'main',
        profile: undefined,
        endpoint: 'https://ca.example',
        keyInUse: 'key',
        serial: '1',
        names: ['DNS:test.example'],
        notAfter: '2026-11-24T13:00:00Z',
        durationMs: 0,
      });
      assert.deepEqual(await counts(), { issued: 1, unknown: 0 });
      // The store shows it, and it is over.
      requests.put(approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }));
      reconciler.forget('uid-request');
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.equal(api.applied.length, 1);
    });

    test('and warns when a bundle was asked for and did not come', async () => {
      const { reconcile, cfssl, state, trace } = start();
      state.ready = readyIssuer(cfssl, ca, { bundle: true });
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.deepEqual(trace, ['post', 'warn Issuer/team/ca BundleUnavailable']);
    });

    test('and tells of what differs from the request', async () => {
      const { reconcile, cfssl, events } = start({ request: approvedRequest({ spec: { usages: ['server auth'] } }) });
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.deepEqual(events.lines, [
        'Warning UnexpectedCertificate: The request asks for usages server auth, which the certificate lacks',
        'Normal Issued: Succeeded signing the CertificateRequest',
      ]);
    });

    test('not before this process has checked the issuer', async () => {
      const { reconcile, cfssl, api, state } = start({ isChecked: false });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual([cfssl.posts, api.applied], [[], []]);
      state.ready = readyIssuer(cfssl, ca);
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
    });

    test('not while this process may not sign', async () => {
      const { reconcile, cfssl, api, events, counts, state, trace } = start();
      state.veto = new Error('Not the leader any more');
      await assert.rejects(reconcile(), state.veto);
      assert.deepEqual([cfssl.posts, api.applied, events.records, trace], [[], [], [], []]);
      assert.deepEqual(await counts(), { unknown: 0 });
      state.veto = undefined;
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
    });
  });

  describe('leaves alone', () => {
    const cases: readonly [name: string, request: CertificateRequest | null][] = [
      ['what is gone', null],
      ['what is not ours', approvedRequest({ spec: { issuerRef: { name: 'ca', group: 'other' } } })],
      ['what is issued', approvedRequest({ status: issued })],
      ['what has failed', approvedRequest({ status: failedBecause('x') })],
      ['what is being deleted', approvedRequest({ metadata: { deletionTimestamp: NOW } })],
    ];
    for (const [name, request] of cases) {
      test(name, async () => {
        const { reconcile, cfssl, api, events, log } = start({ request });
        assert.equal(await reconcile(), undefined);
        assert.deepEqual([cfssl.posts, api.applied, events.records, log.lines], [[], [], [], []]);
      });
    }
  });

  describe('a request that nobody has approved', () => {
    test('gets one event and no status', async () => {
      const { reconcile, cfssl, api, events } = start({ request: approvedRequest({ conditions: [] }) });
      for (let time = 0; time < 3; time += 1) assert.equal(await reconcile(), undefined);
      assert.deepEqual([cfssl.posts, api.applied], [[], []]);
      assert.deepEqual(events.lines, [
        'Normal WaitingForApproval: Not signing CertificateRequest until it is Approved',
      ]);
    });

    test('of the same name gets an event of its own', async () => {
      const { reconcile, requests, events } = start({ request: approvedRequest({ conditions: [] }) });
      await reconcile();
      requests.put(approvedRequest({ metadata: { uid: 'uid-2' }, conditions: [] }));
      await reconcile();
      assert.deepEqual(
        events.records.map(({ regarding }) => regarding.uid),
        ['uid-request', 'uid-2'],
      );
    });

    test('is signed once it is approved', async () => {
      const { reconcile, requests, cfssl } = start({ request: approvedRequest({ conditions: [] }) });
      await reconcile();
      requests.put(approvedRequest({ metadata: { resourceVersion: '2' } }));
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
    });

    test('is signed where the check is disabled', async () => {
      const { reconcile, cfssl } = start({ request: approvedRequest({ conditions: [] }), requireApproval: false });
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
    });
  });

  for (const [name, conditions] of [
    ['Denied alone', [DENIED]],
    ['Denied beside Approved', [APPROVED, DENIED]],
  ] as const) {
    test(`${name} is Denied, with the time of the failure`, async () => {
      const { reconcile, cfssl, events, statuses } = start({ request: approvedRequest({ conditions }) });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, []);
      const message = 'Detected that the CertificateRequest is denied, so it will never be Ready.';
      assert.deepEqual(statuses(), [{ conditions: [readyCondition({ reason: 'Denied', message })], failureTime: NOW }]);
      assert.deepEqual(events.lines, [`Warning PermanentError: ${message}`]);
    });
  }

  describe('an issuer that cannot sign', () => {
    const cases: readonly [name: string, issuer: Issuer | null, event: string, message: string][] = [
      [
        'missing',
        null,
        'WaitingForIssuerExist',
        'issuers.cfssl-issuer.wikimedia.org "ca" not found. Waiting for it to be created.',
      ],
      [
        'not ready',
        issuer({ conditions: [ready({ status: 'False', reason: 'Unreachable', message: 'No answer' })] }),
        'WaitingForIssuerReady',
        'Waiting for issuer to become ready. Current issuer ready condition is "Unreachable": No answer.',
      ],
    ];
    for (const [name, object, event, message] of cases) {
      test(`${name}: the request is Pending, written and told once`, async () => {
        const { reconcile, requests, cfssl, events, statuses } = start({ issuer: object });
        assert.equal(await reconcile(), undefined);
        const [status] = statuses();
        assert.deepEqual(status, pendingBecause(message));
        requests.put(
          approvedRequest({
            metadata: { resourceVersion: '2' },
            conditions: [APPROVED, ...(pendingBecause(message).conditions ?? [])],
          }),
        );
        await reconcile();
        assert.equal(statuses().length, 1);
        assert.deepEqual(events.lines, [`Normal ${event}: ${message}`]);
        assert.deepEqual(cfssl.posts, []);
      });
    }
  });

  describe('signs at most once', () => {
    test('a failed status write is tried again with the same certificate', async () => {
      const { reconcile, cfssl, api, events, log, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(...Array.from({ length: 50 }, unavailable));
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(
        statuses().map(({ certificate }) => certificate),
        Array.from({ length: 51 }, () => issued.certificate),
      );
      assert.deepEqual(events.lines, ['Normal Issued: Succeeded signing the CertificateRequest']);
      assert.equal(log.fieldsOf('Certificate issued').length, 1);
      assert.equal(log.fieldsOf('Cannot write status, trying again').length, 1);
    });

    test('nothing more is signed while 16 final statuses cannot be written', async () => {
      const { reconciler, requests, cfssl, api, clock, abort } = start({ request: null });
      api.applyErrors.push(...Array.from({ length: 32 }, unavailable));
      const keys = Array.from({ length: 17 }, (_, at) => `request-${at}`);
      for (const name of keys) {
        requests.put(approvedRequest({ metadata: { name, uid: name } }));
        cfssl.willAnswer(signAnswer(certificatePem));
      }
      const [last = '', ...others] = keys.map((name) => `team/${name}`).reverse();
      const waiting = others.map((key) => reconciler.reconcile(key, abort.signal));
      await clock.advance(0);
      assert.deepEqual(await reconciler.reconcile(last, abort.signal), { requeueAfterMs: 500 });
      assert.equal(cfssl.posts.length, 16);
      await clock.advance(1_000);
      await Promise.all(waiting);
      await reconciler.reconcile(last, abort.signal);
      assert.equal(cfssl.posts.length, 17);
    });

    test('a write that the API server refuses is left to the queue, with the same certificate', async () => {
      const { reconcile, cfssl, api, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      const refused = new Error('Refused');
      api.applyErrors.push(refused);
      await assert.rejects(reconcile(), refused);
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(statuses(), [issued, issued]);
    });

    test('also when the issuer has become unable to sign meanwhile', async () => {
      const { reconcile, cfssl, api, issuers, state, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(new Error('Refused'));
      await assert.rejects(reconcile());
      state.ready = undefined;
      issuers.remove('team/ca');
      await reconcile();
      assert.deepEqual(statuses(), [issued, issued]);
    });

    test('a conflict is settled by a read and the same certificate for the new version', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict(), conflict());
      api.reads.push(
        approvedRequest({ metadata: { resourceVersion: '7' } }),
        approvedRequest({ metadata: { resourceVersion: '8' } }),
      );
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(
        api.applied.map(({ object }) => object),
        ['1', '7', '8'].map((resourceVersion) => ({
          metadata: { name: 'request', namespace: 'team', resourceVersion },
          status: issued,
        })),
      );
      assert.deepEqual(events.lines, ['Normal Issued: Succeeded signing the CertificateRequest']);
    });

    test('a conflict with a write of ours that was thought to have failed needs no other', async () => {
      const { reconcile, cfssl, api } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(unavailable(), conflict());
      api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.equal(api.applied.length, 2);
    });

    test('a certificate that the API server refuses for good fails the request', async () => {
      const { reconcile, cfssl, api, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(invalid());
      assert.equal(await reconcile(), undefined);
      assert.equal(cfssl.posts.length, 1);
      const message = 'The API server refuses the certificate: Cannot apply: 422 Invalid: no';
      assert.deepEqual(statuses(), [issued, failedBecause(message)]);
    });

    test('a failed read after a conflict leads to another write, not to another signature', async () => {
      const { reconcile, cfssl, api, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(unavailable());
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(statuses(), [issued, issued]);
    });

    test('a stale store leads to no other signature until forget()', async () => {
      const { reconcile, reconciler, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem), signAnswer(certificatePem));
      await reconcile();
      for (let time = 0; time < 3; time += 1) {
        api.applyErrors.push(conflict());
        api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }));
        await reconcile();
      }
      assert.equal(cfssl.posts.length, 1);
      assert.equal(events.lines.length, 1);
      reconciler.forget('uid-request');
      await reconcile();
      assert.equal(cfssl.posts.length, 2);
    });

    test('another request of the same name gets a signature of its own', async () => {
      const { reconcile, requests, cfssl, api, statuses } = start();
      const csr2 = newCsr();
      const second = issue(csr2, ca);
      cfssl.willAnswer(signAnswer(certificatePem), signAnswer(second));
      api.applyErrors.push(new Error('Refused'));
      await assert.rejects(reconcile());
      requests.put(
        approvedRequest({ metadata: { uid: 'uid-2', resourceVersion: '9' }, spec: { request: csr2.base64 } }),
      );
      await reconcile();
      assert.deepEqual(
        cfssl.posts.map(({ csrPem }) => csrPem),
        [csr.pem, csr2.pem],
      );
      assert.deepEqual(statuses()[1], { ...issued, certificate: base64(second) });
    });
  });

  describe('signs nothing that the leader before has finished, unseen', () => {
    const cases: readonly [name: string, found: object | Error, posts: number][] = [
      ['it is finished', approvedRequest({ metadata: { resourceVersion: '2' }, status: issued }), 0],
      ['it is gone', notFound(), 0],
      ['another one has its name', approvedRequest({ metadata: { uid: 'uid-2' } }), 0],
      ['it is open still', approvedRequest(), 1],
    ];
    for (const [name, found, posts] of cases) {
      test(name, async () => {
        const { reconcile, cfssl, api, state } = start();
        state.isCaughtUp = false;
        cfssl.willAnswer(signAnswer(certificatePem));
        api.reads.push(found);
        await reconcile();
        assert.deepEqual([cfssl.posts.length, api.applied.length, api.readCount], [posts, posts, 1]);
      });
    }

    test('a failed read signs nothing', async () => {
      const { reconcile, cfssl, api, state } = start();
      state.isCaughtUp = false;
      api.reads.push(unavailable());
      await assert.rejects(reconcile(), { code: 'KUBERNETES_CONNECTION' });
      assert.deepEqual(cfssl.posts, []);
    });
  });

  describe('a request that is gone when its certificate is there', () => {
    test('404: nothing more is done', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(notFound());
      assert.equal(await reconcile(), undefined);
      assert.equal(api.applied.length, 1);
      assert.deepEqual(events.lines, []);
    });

    test('409, and the read finds nothing: nothing more is done', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(notFound());
      assert.equal(await reconcile(), undefined);
      assert.equal(api.applied.length, 1);
      assert.deepEqual(events.lines, []);
    });

    test('409, and another request has its name: that one is not written', async () => {
      const { reconcile, cfssl, api, events } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(approvedRequest({ metadata: { uid: 'uid-2', resourceVersion: '9' } }));
      assert.equal(await reconcile(), undefined);
      assert.equal(api.applied.length, 1);
      assert.equal(api.readCount, 1);
      assert.deepEqual(events.lines, []);
    });

    for (const [name, error] of [
      ['404', notFound],
      ['409', conflict],
    ] as const) {
      test(`${name}, and the store does not show it yet: it is not signed again`, async () => {
        const { reconcile, cfssl, api } = start();
        cfssl.willAnswer(signAnswer(certificatePem));
        api.applyErrors.push(error(), notFound());
        api.reads.push(notFound());
        await reconcile();
        await reconcile();
        assert.equal(cfssl.posts.length, 1);
      });
    }
  });

  describe('a request that somebody has finished meanwhile keeps its status', () => {
    const cases: readonly [name: string, given: Given, found: CertificateRequestStatus][] = [
      ['Pending is not written over Issued', { issuer: null }, issued],
      ['Pending is not written over Failed', { issuer: null }, failedBecause('refused')],
      ['Denied is not written over Issued', { request: approvedRequest({ conditions: [DENIED] }) }, issued],
      ['Failed is not written over Issued', { request: approvedRequest({ spec: { request: '' } }) }, issued],
    ];
    for (const [name, given, found] of cases) {
      test(name, async () => {
        const { reconcile, api } = start(given);
        api.applyErrors.push(conflict());
        api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status: found }));
        await reconcile();
        assert.equal(api.applied.length, 1);
      });
    }
  });

  describe("the request's fault", () => {
    test('a CSR that is none fails without a POST', async () => {
      const { reconcile, cfssl, events, counts, statuses } = start({
        request: approvedRequest({ spec: { request: base64('no CSR') } }),
      });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, []);
      const message = 'Cannot parse CSR: there is no PEM block';
      assert.deepEqual(statuses(), [failedBecause(message)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: Failed permanently to sign CertificateRequest: ${message}`,
      ]);
      assert.deepEqual(await counts(), { request_refused: 1, unknown: 0 });
    });

    test("a CSR that CFSSL's policy refuses fails at once, and the issuer is not asked", async () => {
      const { reconcile, cfssl, events, counts, statuses, trace } = start();
      const error = cfsslError('CFSSL_NAMES_NOT_ALLOWED');
      cfssl.willAnswer(error);
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(trace, ['post']);
      assert.deepEqual(statuses(), [failedBecause(error.message)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: Failed permanently to sign CertificateRequest: ${error.message}`,
      ]);
      assert.deepEqual(await counts(), { request_refused: 1, unknown: 0 });
    });

    test('a certificate with other names fails the request, and is not handed out', async () => {
      const { reconcile, cfssl, counts, mismatches, statuses } = start();
      cfssl.willAnswer(signAnswer(issue(csr, ca, { extensions: [] })));
      assert.equal(await reconcile(), undefined);
      const message = 'The CSR asks for DNS:test.example, which the certificate lacks';
      assert.deepEqual(statuses(), [failedBecause(message)]);
      assert.deepEqual(mismatches, []);
      assert.deepEqual(await counts(), { request_refused: 1, unknown: 0 });
    });
  });

  describe('a bad request without a reason', () => {
    test('is believed the second time, with the issuer proved innocent', async () => {
      const { reconcile, cfssl, events, counts, statuses, trace } = start();
      cfssl.willAnswer(badRequest(), badRequest());
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca', 'post', 'verify Issuer/team/ca']);
      assert.deepEqual(statuses(), [failedBecause(BAD_REQUEST)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: Failed permanently to sign CertificateRequest: ${BAD_REQUEST}`,
      ]);
      assert.deepEqual(await counts(), { temporary_failure: 1, request_refused: 1, unknown: 0 });
    });

    test('is not believed when the second try is signed', async () => {
      const { reconcile, cfssl, trace, statuses } = start();
      cfssl.willAnswer(badRequest(), signAnswer(certificatePem));
      await reconcile();
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca', 'post']);
      assert.deepEqual(statuses(), [issued]);
    });

    test('of an issuer at fault leads to no second try and no status', async () => {
      const { reconcile, cfssl, verdicts, trace, statuses, counts } = start();
      cfssl.willAnswer(badRequest());
      verdicts.push(unreachable);
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
      assert.deepEqual(statuses(), []);
      assert.deepEqual(await counts(), { issuer_failed: 1, unknown: 0 });
    });

    test('is not tried again when the request is gone from the store meanwhile', async () => {
      const { reconciler, requests, cfssl, trace, abort } = start();
      cfssl.willAnswer(badRequest());
      const done = reconciler.reconcile(KEY, abort.signal);
      requests.remove(KEY);
      await done;
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
    });

    test('is not believed the first time because of another failure before', async () => {
      const { reconcile, cfssl, statuses } = start();
      cfssl.willAnswer(cfsslError('CFSSL_TIMEOUT'), badRequest(), signAnswer(certificatePem));
      await assert.rejects(reconcile());
      await reconcile();
      assert.deepEqual(statuses().at(-1), issued);
    });
  });

  describe("the issuer's fault", () => {
    for (const code of ['CFSSL_INVALID_TOKEN', 'CFSSL_TIMEOUT', 'CFSSL_UNKNOWN_REFUSAL'] as const) {
      test(`${code}, and the probe agrees: no status, the request waits`, async () => {
        const { reconcile, cfssl, verdicts, events, statuses, trace, counts } = start();
        cfssl.willAnswer(cfsslError(code));
        verdicts.push(unreachable);
        assert.equal(await reconcile(), undefined);
        assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
        assert.deepEqual(statuses(), []);
        assert.deepEqual(events.lines, []);
        assert.deepEqual(await counts(), { issuer_failed: 1, unknown: 0 });
      });
    }

    test('however long it lasts, the request is not failed for it', async () => {
      const { reconcile, clock, cfssl, verdicts, statuses } = start();
      for (let time = 0; time < 3; time += 1) {
        cfssl.willAnswer(cfsslError('CFSSL_UNREACHABLE'));
        verdicts.push(unreachable);
        await reconcile();
        await clock.advance(3_600_000);
      }
      cfssl.willAnswer(cfsslError('CFSSL_UNAVAILABLE'));
      await assert.rejects(reconcile());
      assert.equal(statuses().length, 1);
      assert.equal(statuses()[0]?.conditions?.[0]?.reason, 'Pending');
    });

    test('the two tries of a bad request begin anew after it', async () => {
      const { reconcile, cfssl, verdicts, trace, statuses } = start();
      cfssl.willAnswer(badRequest());
      verdicts.push(unreachable);
      await reconcile();
      cfssl.willAnswer(badRequest(), signAnswer(certificatePem));
      await reconcile();
      assert.equal(trace.filter((step) => step === 'post').length, 3);
      assert.deepEqual(statuses(), [issued]);
    });

    test('a wrong certificate is reported, and not handed out', async () => {
      const { reconcile, cfssl, mismatches, statuses, events, counts } = start();
      cfssl.willAnswer(signAnswer(issue(newCsr(), ca)));
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(mismatches, ['Issuer/team/ca: The certificate is for another public key than the CSR']);
      assert.deepEqual(statuses(), []);
      assert.deepEqual(events.lines, []);
      assert.deepEqual(await counts(), { mismatch: 1, unknown: 0 });
    });

    for (const [name, answer] of [
      ['another key', issue(newCsr(), ca)],
      ['other names', issue(csr, ca, { extensions: [] })],
    ] as const) {
      test(`a certificate for ${name} has its audit line too: CFSSL issued it`, async () => {
        const { reconcile, cfssl, log } = start();
        cfssl.willAnswer(signAnswer(answer));
        await reconcile();
        assert.equal(log.fieldsOf('Certificate issued').length, 1);
      });
    }
  });

  describe('a wall clock that is an hour wrong', () => {
    for (const [hours, message] of [
      [-1, "The certificate is not valid yet: the CA's clock is ahead of ours"],
      [1, 'The certificate has already expired'],
    ] as const) {
      test(`by ${hours} h: the issuer is blamed, the request waits, and is issued when the clock is right`, async () => {
        const { reconcile, clock, cfssl, mismatches, statuses } = start();
        const pem = issue(csr, ca, { notBefore: '20261124115500Z', notAfter: '20261124123000Z' });
        cfssl.willAnswer(signAnswer(pem), signAnswer(pem));
        clock.jumpWallClock(hours * 3_600_000);
        assert.equal(await reconcile(), undefined);
        assert.deepEqual([mismatches, statuses()], [[`Issuer/team/ca: ${message}`], []]);
        clock.jumpWallClock(-hours * 3_600_000);
        await reconcile();
        assert.deepEqual(
          statuses().map((status) => status?.conditions?.[0]?.reason),
          ['Issued'],
        );
      });
    }
  });

  describe('a request that has its certificate and does not say so any more', () => {
    test('is told it again, without a POST', async () => {
      const status = { conditions: [APPROVED], certificate: issued.certificate ?? '', ca: issued.ca ?? '' };
      const { reconcile, cfssl, statuses } = start({ request: approvedRequest({ status }) });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, []);
      assert.deepEqual(statuses(), [issued]);
    });

    test('is signed if that is none of ours', async () => {
      const status = { conditions: [APPROVED], certificate: base64('rubbish') };
      const { reconcile, cfssl, statuses } = start({ request: approvedRequest({ status }) });
      cfssl.willAnswer(signAnswer(certificatePem));
      await reconcile();
      assert.equal(cfssl.posts.length, 1);
      assert.deepEqual(statuses(), [issued]);
    });
  });

  describe('a temporary error', () => {
    const error = cfsslError('CFSSL_UNAVAILABLE');
    const message = `Failed to sign CertificateRequest, will retry: ${error.message}`;

    test('is Pending with the cause, and rejects, so that the queue backs off', async () => {
      const { reconcile, cfssl, events, statuses, trace, counts } = start();
      cfssl.willAnswer(error);
      await assert.rejects(reconcile(), error);
      assert.deepEqual(trace, ['post', 'verify Issuer/team/ca']);
      assert.deepEqual(statuses(), [pendingBecause(message)]);
      assert.deepEqual(events.lines, [`Warning RetryableError: ${message}`]);
      assert.deepEqual(await counts(), { temporary_failure: 1, unknown: 0 });
    });

    test("so is the issuer's fault when the probe finds none", async () => {
      const { reconcile, cfssl, statuses } = start();
      const refused = cfsslError('CFSSL_UNKNOWN_PROFILE');
      cfssl.willAnswer(refused);
      await assert.rejects(reconcile(), refused);
      assert.deepEqual(statuses(), [
        pendingBecause(`Failed to sign CertificateRequest, will retry: ${refused.message}`),
      ]);
    });

    test('is tried again, and its status is written once', async () => {
      const { reconcile, requests, cfssl, statuses } = start();
      cfssl.willAnswer(error, error, signAnswer(certificatePem));
      await assert.rejects(reconcile());
      const conditions = [APPROVED, ...(pendingBecause(message).conditions ?? [])];
      requests.put(approvedRequest({ metadata: { resourceVersion: '2' }, conditions }));
      await assert.rejects(reconcile());
      await reconcile();
      assert.deepEqual(
        statuses().map((status) => status?.conditions?.[0]?.reason),
        ['Pending', 'Issued'],
      );
    });

    for (const hours of [1, -1]) {
      test(`is retried as long when the wall clock jumps by ${hours} h`, async () => {
        const { reconcile, clock, cfssl } = start();
        cfssl.willAnswer(error, error, signAnswer(certificatePem));
        await assert.rejects(reconcile(), error);
        clock.jumpWallClock(hours * 3_600_000);
        await assert.rejects(reconcile(), error);
        clock.jumpWallClock(-hours * 3_600_000);
        await reconcile();
        assert.equal(cfssl.posts.length, 3);
      });
    }

    test('that lasts too long fails the request, without another POST', async () => {
      const { reconcile, clock, cfssl, events, trace, statuses } = start();
      cfssl.willAnswer(error, error);
      await assert.rejects(reconcile());
      await clock.advance(300_000);
      await assert.rejects(reconcile());
      await clock.advance(1);
      assert.equal(await reconcile(), undefined);
      assert.equal(trace.filter((step) => step === 'post').length, 2);
      const status = statuses().at(-1);
      assert.deepEqual(
        { ...status, conditions: status?.conditions?.map(({ reason, message: text }) => ({ reason, message: text })) },
        {
          conditions: [
            { reason: 'Failed', message: `Failed permanently to sign CertificateRequest: ${error.message}` },
          ],
          failureTime: '2026-11-24T12:05:00Z',
        },
      );
      assert.match(events.lines.at(-1) ?? '', /^Warning PermanentError: /);
    });

    test('is forgotten with the request', async () => {
      const { reconcile, reconciler, clock, cfssl, statuses } = start();
      cfssl.willAnswer(error, signAnswer(certificatePem));
      await assert.rejects(reconcile());
      reconciler.forget('uid-request');
      await clock.advance(300_001);
      await reconcile();
      assert.equal(statuses().at(-1)?.conditions?.[0]?.reason, 'Issued');
    });

    test('of unknown outcome is counted', async () => {
      const { reconcile, cfssl, counts } = start();
      cfssl.willAnswer(cfsslError('CFSSL_CONNECTION_LOST', true));
      await assert.rejects(reconcile());
      assert.deepEqual(await counts(), { temporary_failure: 1, unknown: 1 });
    });

    test('whose status cannot be written rejects too', async () => {
      const { reconcile, cfssl, api, events } = start();
      const failure = unavailable();
      cfssl.willAnswer(error);
      api.applyErrors.push(failure);
      await assert.rejects(reconcile(), failure);
      assert.deepEqual(events.lines, []);
    });

    test('and a probe that breaks: that rejects, and nothing is written', async () => {
      const { reconcile, cfssl, verdicts, statuses } = start();
      const broken = new Error('Broken');
      cfssl.willAnswer(error);
      verdicts.push(broken);
      await assert.rejects(reconcile(), broken);
      assert.deepEqual(statuses(), []);
    });
  });

  describe('an error that is not of CFSSL', () => {
    test('rejects, and nothing is written', async () => {
      const { reconcile, cfssl, statuses, trace, events } = start();
      const broken = new TypeError('Broken');
      cfssl.willAnswer(broken);
      await assert.rejects(reconcile(), broken);
      assert.deepEqual([statuses(), trace, events.lines], [[], ['post'], []]);
    });
  });

  describe('a signing that was cancelled', () => {
    test("rejects with the signal's reason; nothing is written and no issuer suspected", async () => {
      const { reconcile, cfssl, abort, statuses, trace, events } = start();
      cfssl.willAnswer(cfsslError('CFSSL_ABORTED'));
      abort.abort(stopped);
      await assert.rejects(reconcile(), stopped);
      assert.deepEqual([statuses(), trace, events.lines], [[], ['post'], []]);
    });

    test('is counted when its outcome is not known', async () => {
      const { reconcile, cfssl, abort, counts } = start();
      cfssl.willAnswer(cfsslError('CFSSL_ABORTED', true));
      abort.abort(stopped);
      await assert.rejects(reconcile(), stopped);
      assert.deepEqual(await counts(), { unknown: 1 });
    });
  });
});
