/** What `RequestReconciler` does otherwise for a CertificateSigningRequest; all else is in `request-reconciler*.test.ts`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AccessReviewsDouble } from '../../test/support/access-reviews.ts';
import { APPROVED, issuer, ready, signingRequest } from '../../test/support/builders.ts';
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
import { conflict, StatusClientDouble, unavailable } from '../../test/support/status-client.ts';
import type { CertificateSigningRequest, Issuer } from '../api/index.ts';
import { type KubernetesClient, Store } from '../kubernetes/index.ts';
import { Registry } from '../platform/index.ts';
import { IssuerMetrics } from './metrics.ts';
import { RequestReconciler } from './request-reconciler.ts';
import { signingRequestKind } from './signing-request-kind.ts';

const csr = newCsr();
const ca = authority('CA');
const certificatePem = issue(csr, ca);
const issued = { certificate: Buffer.from(certificatePem).toString('base64') };
const failedBecause = (message: string) => ({
  conditions: [
    {
      type: 'Failed',
      status: 'True' as const,
      reason: 'Failed',
      message: `CertificateSigningRequest has failed permanently: ${message}`,
    },
  ],
});
const OBJECTION = 'User "alice" lacks the verb "reference" on signers.cert-manager.io "ca" in namespace "team"';
const MISSING = 'issuers.cfssl-issuer.wikimedia.org "ca" not found. Waiting for it to be created.';

type Overrides = NonNullable<Parameters<typeof signingRequest>[0]>;

/** An approved request of alice for `csr`, to the Issuer `team/ca`. */
function approvedRequest(overrides: Overrides = {}): CertificateSigningRequest {
  return signingRequest({
    status: { conditions: [APPROVED] },
    ...overrides,
    spec: { request: csr.base64, username: 'alice', ...overrides.spec },
  });
}

interface Given {
  readonly request?: CertificateSigningRequest;
  readonly issuer?: Issuer | null;
  /** Whether the requester may reference the Issuer. */
  readonly mayReference?: boolean;
}

function start({ request = approvedRequest(), issuer: given, mayReference = true }: Given = {}) {
  const clock = new ManualClock(NOW_MS);
  const requests = new Store<CertificateSigningRequest>();
  requests.put(request);
  const issuers = new Store<Issuer>();
  if (given !== null) issuers.put(given ?? issuer({ conditions: [ready()] }));
  const api = new StatusClientDouble();
  const access = new AccessReviewsDouble(() => mayReference);
  const client: Pick<KubernetesClient, 'applyStatus' | 'create' | 'get'> = {
    applyStatus: (...call) => api.asKubernetesClient().applyStatus(...call),
    get: (...call) => api.asKubernetesClient().get(...call),
    create: (...call) => access.asKubernetesClient().create(...call),
  };
  const events = new EventRecorderDouble();
  const log = new LogRecorder();
  const cfssl = new CfsslDouble();
  const reconciler = new RequestReconciler(
    signingRequestKind,
    {
      clock,
      random: () => 0,
      log,
      client,
      events: events.asEventRecorder(),
      metrics: new IssuerMetrics(new Registry()),
      requests,
      isCaughtUp: () => true,
      stores: { issuers, clusterIssuers: new Store<Issuer>() },
      issuers: {
        readyFor: () => readyIssuer(cfssl, ca),
        verify: () => Promise.resolve(undefined),
        reportMismatch: () => {},
        warnOnce: () => {},
      },
      assertMaySign: () => {},
    },
    { requireApproval: false, maxRetryDurationMs: 300_000 },
  );
  const { signal } = new AbortController();
  return {
    requests,
    issuers,
    api,
    access,
    events,
    log,
    cfssl,
    reconciler,
    reconcile: () => reconciler.reconcile('request', signal),
    statuses: () => api.applied.map(({ object }) => object.status),
  };
}

describe('RequestReconciler, of a CertificateSigningRequest,', () => {
  test('signs with one POST and one write, an event and an audit line', async () => {
    const { reconcile, api, events, log, cfssl } = start();
    cfssl.willAnswer(signAnswer(certificatePem));
    assert.equal(await reconcile(), undefined);
    assert.deepEqual(cfssl.posts, [{ csrPem: csr.pem, bundle: false }]);
    assert.deepEqual(api.applied, [
      {
        resource: 'CertificateSigningRequest',
        object: { metadata: { name: 'request', namespace: undefined, resourceVersion: '1' }, status: issued },
        fieldManager: 'cfssl-issuer.wikimedia.org',
      },
    ]);
    assert.deepEqual(events.lines, ['Normal Issued: Succeeded signing the CertificateSigningRequest']);
    assert.deepEqual(
      events.records.map(({ regarding: { resource, ...object } }) => ({ kind: resource.kind, ...object })),
      [{ kind: 'CertificateSigningRequest', namespace: undefined, name: 'request', uid: 'uid-request' }],
    );
    const [audit] = log.fieldsOf('Certificate issued');
    assert.deepEqual([audit?.['requester'], audit?.['issuer']], ['alice', 'Issuer/team/ca']);
  });

  test('signs nothing without approval, whatever the flag says, and tells so once', async () => {
    const { reconcile, cfssl, access, events, statuses } = start({ request: approvedRequest({ status: {} }) });
    for (let time = 0; time < 3; time += 1) await reconcile();
    assert.deepEqual([cfssl.posts, access.reviews, statuses()], [[], [], []]);
    assert.deepEqual(events.lines, [
      'Normal WaitingForApproval: Not signing CertificateSigningRequest until it is Approved',
    ]);
  });

  test('writes no status while it waits, and tells each reason once', async () => {
    const { reconcile, issuers, events, statuses } = start({ issuer: null });
    for (let time = 0; time < 3; time += 1) assert.equal(await reconcile(), undefined);
    issuers.put(issuer());
    for (let time = 0; time < 3; time += 1) assert.equal(await reconcile(), undefined);
    assert.deepEqual(statuses(), []);
    assert.deepEqual(events.lines, [
      `Normal WaitingForIssuerExist: ${MISSING}`,
      'Normal WaitingForIssuerReady: Waiting for issuer to become ready. Current issuer ready condition is <none>.',
    ]);
  });

  test('forgets what it told when the request is forgotten', async () => {
    const { reconcile, reconciler, events } = start({ issuer: null });
    await reconcile();
    await reconcile();
    assert.equal(events.lines.length, 1);
    reconciler.forget('uid-request');
    await reconcile();
    assert.equal(events.lines.length, 2);
  });

  for (const [name, object] of [
    ['that is ready', undefined],
    ['that does not exist', null],
  ] as const) {
    test(`fails who may not reference an Issuer ${name}, and tells nothing of it`, async () => {
      const { reconcile, cfssl, events, statuses } = start({
        mayReference: false,
        ...(object === undefined ? {} : { issuer: object }),
      });
      assert.equal(await reconcile(), undefined);
      assert.deepEqual(cfssl.posts, []);
      assert.deepEqual(statuses(), [failedBecause(OBJECTION)]);
      assert.deepEqual(events.lines, [
        `Warning PermanentError: CertificateSigningRequest has failed permanently: ${OBJECTION}`,
      ]);
    });
  }

  test('signs nothing while it cannot find out who may reference the Issuer', async () => {
    const { reconcile, access, cfssl, statuses } = start();
    const failure = unavailable();
    access.errors.push(failure);
    await assert.rejects(reconcile(), failure);
    assert.deepEqual([cfssl.posts, statuses()], [[], []]);
  });

  test('tries again after a temporary failure, with an event alone', async () => {
    const { reconcile, cfssl, events, statuses } = start();
    const failure = cfsslError('CFSSL_TIMEOUT');
    cfssl.willAnswer(failure, signAnswer(certificatePem));
    await assert.rejects(reconcile(), failure);
    assert.deepEqual(statuses(), []);
    assert.deepEqual(events.lines, [
      `Warning RetryableError: Failed to sign CertificateSigningRequest, will retry: ${failure.message}`,
    ]);
    await reconcile();
    assert.deepEqual(statuses(), [issued]);
  });

  test('fails what CFSSL refuses', async () => {
    const { reconcile, cfssl, statuses } = start();
    const refusal = cfsslError('CFSSL_POLICY_VIOLATION');
    cfssl.willAnswer(refusal);
    await reconcile();
    assert.deepEqual(statuses(), [failedBecause(refusal.message)]);
  });

  test('writes the same certificate again after a conflict with another writer', async () => {
    const { reconcile, api, cfssl, statuses } = start();
    cfssl.willAnswer(signAnswer(certificatePem));
    api.applyErrors.push(conflict());
    api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' } }));
    await reconcile();
    assert.equal(cfssl.posts.length, 1);
    assert.deepEqual(statuses(), [issued, issued]);
  });

  for (const [name, status] of [
    ['signed', { conditions: [APPROVED], ...issued }],
    ['failed', failedBecause('by another signer')],
  ] as const) {
    test(`leaves alone what turns out to be ${name} meanwhile`, async () => {
      const { reconcile, api, cfssl, events, statuses } = start();
      cfssl.willAnswer(signAnswer(certificatePem));
      api.applyErrors.push(conflict());
      api.reads.push(approvedRequest({ metadata: { resourceVersion: '2' }, status }));
      await reconcile();
      assert.equal(statuses().length, 1);
      assert.deepEqual(events.lines, []);
    });
  }
});
