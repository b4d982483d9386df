import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, DENIED, issuer, ready, signingRequest } from '../../test/support/builders.ts';
import type { CertificateSigningRequest, CertificateSigningRequestStatus, Condition } from '../api/index.ts';
import type { Decision, DecisionInput } from './decide.ts';
import { decideSigningRequest, isFinishedSigningRequest } from './signing-request-decision.ts';

type Overrides = NonNullable<Parameters<typeof signingRequest>[0]>;

const approved = (overrides: Overrides = {}): CertificateSigningRequest =>
  signingRequest({ status: { conditions: [APPROVED] }, ...overrides });
const asking = (duration: string): CertificateSigningRequest =>
  approved({ metadata: { annotations: { 'experimental.cert-manager.io/request-duration': duration } } });
const failed: Condition = { type: 'Failed', status: 'True', reason: 'Failed', message: 'No' };

interface Case {
  readonly name: string;
  readonly input: Partial<DecisionInput<CertificateSigningRequest>>;
  readonly expected: Decision;
}

const cases: readonly Case[] = [
  {
    name: "another's signer is ignored",
    input: { request: approved({ spec: { signerName: 'kubernetes.io/kubelet-serving' } }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'being deleted is ignored',
    input: { request: approved({ metadata: { deletionTimestamp: '2026-01-01T00:00:01Z' } }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'signed is ignored',
    input: { request: approved({ status: { conditions: [APPROVED], certificate: 'UEVN' } }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'Denied is ignored: the approver has said all',
    input: { request: signingRequest({ status: { conditions: [DENIED] } }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'Failed is ignored, also beside Approved',
    input: { request: approved({ status: { conditions: [APPROVED, failed] } }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'Failed by another signer before its approval is ignored',
    input: { request: signingRequest({ status: { conditions: [failed] } }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'not approved waits for its approver',
    input: { request: signingRequest() },
    expected: { action: 'ignore', announce: 'WaitingForApproval' },
  },
  {
    name: 'not approved is not judged, whatever it asks for',
    input: { request: signingRequest({ spec: { expirationSeconds: 1 } }), issuer: undefined },
    expected: { action: 'ignore', announce: 'WaitingForApproval' },
  },
  {
    name: 'an Issuer without a namespace can never be found',
    input: { request: approved({ spec: { signerName: 'issuers.cfssl-issuer.wikimedia.org/ca' } }) },
    expected: {
      action: 'fail',
      message: 'The signer name lacks the namespace of the Issuer: issuers.cfssl-issuer.wikimedia.org/NAMESPACE.ca',
    },
  },
  {
    name: 'a duration that is none fails',
    input: { request: asking('90 days') },
    expected: {
      action: 'fail',
      message: 'The annotation experimental.cert-manager.io/request-duration is no duration',
    },
  },
  {
    name: 'a duration below ten minutes fails',
    input: { request: asking('9m59s') },
    expected: { action: 'fail', message: 'The shortest duration is 10m, the request asks for 9m59s' },
  },
  { name: 'a duration of ten minutes is signed', input: { request: asking('10m') }, expected: { action: 'sign' } },
  {
    name: 'expirationSeconds of 600 is signed',
    input: { request: approved({ spec: { expirationSeconds: 600 } }) },
    expected: { action: 'sign' },
  },
  {
    name: 'missing Issuer',
    input: { issuer: undefined },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerExist',
      message: 'issuers.cfssl-issuer.wikimedia.org "ca" not found. Waiting for it to be created.',
    },
  },
  {
    name: 'missing ClusterIssuer',
    input: {
      request: approved({ spec: { signerName: 'clusterissuers.cfssl-issuer.wikimedia.org/ca' } }),
      issuer: undefined,
    },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerExist',
      message: 'clusterissuers.cfssl-issuer.wikimedia.org "ca" not found. Waiting for it to be created.',
    },
  },
  {
    name: 'issuer that is not ready',
    input: {
      issuer: issuer({ conditions: [ready({ status: 'False', reason: 'Unreachable', message: 'No answer' })] }),
    },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerReady',
      message: 'Waiting for issuer to become ready. Current issuer ready condition is "Unreachable": No answer.',
    },
  },
  {
    name: 'temporary failures for longer than the limit',
    input: { attempts: { firstAtMs: 0, lastError: 'CFSSL answers 503' }, nowMs: 300_001 },
    expected: { action: 'fail', message: 'CFSSL answers 503' },
  },
  { name: 'approved, issuer ready', input: {}, expected: { action: 'sign' } },
];

describe('decideSigningRequest()', () => {
  for (const { name, input, expected } of cases) {
    test(name, () => {
      const given = { request: approved(), issuer: issuer({ conditions: [ready()] }), nowMs: 0, ...input };
      assert.deepEqual(decideSigningRequest(given, { maxRetryDurationMs: 300_000 }), expected);
    });
  }
});

describe('isFinishedSigningRequest()', () => {
  const states: readonly [name: string, status: CertificateSigningRequestStatus | undefined, expected: boolean][] = [
    ['without a status', undefined, false],
    ['with an empty status', {}, false],
    ['with an empty certificate', { certificate: '' }, false],
    ['approved', { conditions: [APPROVED] }, false],
    ['denied', { conditions: [DENIED] }, true],
    ['failed', { conditions: [APPROVED, failed] }, true],
    ['signed', { conditions: [APPROVED], certificate: 'UEVN' }, true],
  ];
  for (const [name, status, expected] of states) {
    test(`${name}: ${expected}`, () => {
      assert.equal(isFinishedSigningRequest(signingRequest(status === undefined ? {} : { status })), expected);
    });
  }
});
