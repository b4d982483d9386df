import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, DENIED, issuer, ready } from '../../test/support/builders.ts';
import { readyIssuer, signAnswer } from '../../test/support/signing.ts';
import type { CertificateRequest, Issuer } from '../api/index.ts';
import {
  approvedRequest,
  ca,
  certificatePem,
  csr,
  failedBecause,
  issued,
  NOW,
  pendingBecause,
  readyCondition,
  start,
} from './testing/request-reconciler-setup.ts';

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
});
