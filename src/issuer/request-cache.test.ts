import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, certificateRequest, DENIED, issuer, ready } from '../../test/support/builders.ts';
import type { CertificateRequest, Condition } from '../api/index.ts';
import { decide } from './decide.ts';
import { isFinished, pruneRequest } from './request-cache.ts';

const states: readonly [name: string, conditions: readonly Condition[] | undefined, expected: boolean][] = [
  ['without a status', undefined, false],
  ['approved', [APPROVED], false],
  ['denied, not told yet', [DENIED], false],
  ['Pending', [APPROVED, ready({ status: 'False', reason: 'Pending' })], false],
  ['Initializing, as issuer-lib says', [APPROVED, ready({ status: 'Unknown', reason: 'Initializing' })], false],
  ['Unknown with a final reason', [APPROVED, ready({ status: 'Unknown', reason: 'Failed' })], false],
  ['InvalidRequest=False', [APPROVED, { type: 'InvalidRequest', status: 'False' }], false],
  ['Issued', [APPROVED, ready({ reason: 'Issued' })], true],
  ['Ready for whatever reason', [ready({ reason: 'Other' })], true],
  ['Failed', [APPROVED, ready({ status: 'False', reason: 'Failed' })], true],
  ['Denied', [DENIED, ready({ status: 'False', reason: 'Denied' })], true],
  ['InvalidRequest', [APPROVED, { type: 'InvalidRequest', status: 'True' }], true],
];

const requestIn = (conditions: readonly Condition[] | undefined): CertificateRequest =>
  certificateRequest(conditions === undefined ? {} : { conditions });

describe('isFinished()', () => {
  for (const [name, conditions, expected] of states) {
    test(`${name}: ${expected}`, () => {
      assert.equal(isFinished(requestIn(conditions)), expected);
    });
  }
});

describe('pruneRequest()', () => {
  const spec = {
    request: 'Q1NS',
    issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: 'ca' },
    isCA: false,
    usages: ['server auth'],
    duration: '24h',
    username: 'alice',
  };
  /** What the API server sends besides. */
  const rest = { extra: { a: ['b'] }, groups: ['system:authenticated'], uid: 'uid-user' };
  const metadata = { annotations: { a: 'b' }, labels: { c: 'd' }, managedFields: [{}], generation: 1 };

  test('of an open request it keeps all that is ever read', () => {
    const bare = certificateRequest({ spec, conditions: [APPROVED] });
    const full = certificateRequest({ spec: { ...spec, ...rest }, metadata, conditions: [APPROVED] });
    assert.deepEqual(pruneRequest(full), bare);
  });

  test('of an open request it keeps a certificate, which somebody may have made look unfinished', () => {
    const status = { conditions: [APPROVED], certificate: 'Q0VSVA==', ca: 'Q0E=' };
    const full = certificateRequest({ status: { ...status, failureTime: '2026-01-01T00:00:00Z' } });
    assert.deepEqual(pruneRequest(full), certificateRequest({ status }));
  });

  test('adds nothing to a bare request', () => {
    assert.deepEqual(pruneRequest(certificateRequest()), certificateRequest());
  });

  test('of a finished request it keeps what tells that it is finished', () => {
    const full = certificateRequest({
      spec: { ...spec, ...rest },
      metadata,
      status: {
        conditions: [
          APPROVED,
          ready({ reason: 'Issued', message: 'Done', lastTransitionTime: '2026-01-01T00:00:00Z' }),
        ],
        certificate: 'Q0VSVA==',
        ca: 'Q0E=',
      },
    });
    assert.deepEqual(
      pruneRequest(full),
      certificateRequest({ spec: { request: '' }, conditions: [{ type: 'Ready', status: 'True', reason: 'Issued' }] }),
    );
  });

  test('keeps that a request is being deleted', () => {
    const request = certificateRequest({ metadata: { deletionTimestamp: '2026-01-01T00:00:01Z' } });
    assert.deepEqual(pruneRequest(request), request);
  });

  for (const [name, conditions, finished] of states) {
    test(`${name}: neither what is decided nor whether it is finished changes`, () => {
      const request = requestIn(conditions);
      const pruned = pruneRequest(request);
      const policy = { requireApproval: true, maxRetryDurationMs: 0 };
      const decideOn = (object: CertificateRequest) =>
        decide({ request: object, issuer: issuer({ conditions: [ready()] }), nowMs: 0 }, policy);
      assert.deepEqual(decideOn(pruned), decideOn(request));
      assert.equal(isFinished(pruned), finished);
    });
  }

  for (const [name, conditions, finished] of states) {
    test(`${name}: ${finished ? 'is ignored by decide()' : 'is not ignored for being finished'}`, () => {
      const policy = { requireApproval: false, maxRetryDurationMs: 0 };
      const decision = decide({ request: requestIn(conditions), issuer: undefined, nowMs: 0 }, policy);
      assert.equal(decision.action === 'ignore', finished);
    });
  }
});
