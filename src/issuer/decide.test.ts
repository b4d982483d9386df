import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, certificateRequest, DENIED, issuer, ready } from '../../test/support/builders.ts';
import { type Decision, type DecisionInput, type DecisionPolicy, decide } from './decide.ts';

const policy: DecisionPolicy = { requireApproval: true, maxRetryDurationMs: 300_000 };
const approved = certificateRequest({ conditions: [APPROVED] });
const readyIssuer = issuer({ conditions: [ready()] });
const waitForIssuer = 'Waiting for issuer to become ready. Current issuer ready condition is';

interface Case {
  readonly name: string;
  readonly input: Partial<DecisionInput>;
  readonly policy?: Partial<DecisionPolicy>;
  readonly expected: Decision;
}

const cases: readonly Case[] = [
  {
    name: 'foreign group is ignored',
    input: {
      request: certificateRequest({
        conditions: [APPROVED],
        spec: { issuerRef: { group: 'cert-manager.io', kind: 'Issuer', name: 'ca' } },
      }),
    },
    expected: { action: 'ignore' },
  },
  {
    name: 'missing group is not ours',
    input: {
      request: certificateRequest({ conditions: [APPROVED], spec: { issuerRef: { kind: 'Issuer', name: 'ca' } } }),
    },
    expected: { action: 'ignore' },
  },
  {
    name: 'unknown kind of our group is ignored',
    input: {
      request: certificateRequest({
        conditions: [APPROVED],
        spec: { issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Signer', name: 'ca' } },
      }),
    },
    expected: { action: 'ignore' },
  },
  {
    name: 'being deleted is ignored',
    input: {
      request: certificateRequest({ conditions: [APPROVED], metadata: { deletionTimestamp: '2026-01-01T00:00:01Z' } }),
    },
    expected: { action: 'ignore' },
  },
  {
    name: 'already Ready is ignored',
    input: { request: certificateRequest({ conditions: [APPROVED, ready({ reason: 'Issued' })] }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'already Failed is ignored',
    input: { request: certificateRequest({ conditions: [APPROVED, ready({ status: 'False', reason: 'Failed' })] }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'already Denied is ignored',
    input: { request: certificateRequest({ conditions: [DENIED, ready({ status: 'False', reason: 'Denied' })] }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'InvalidRequest is ignored',
    input: { request: certificateRequest({ conditions: [APPROVED, { type: 'InvalidRequest', status: 'True' }] }) },
    expected: { action: 'ignore' },
  },
  {
    name: 'Denied without Approved is denied',
    input: { request: certificateRequest({ conditions: [DENIED] }) },
    expected: { action: 'deny' },
  },
  {
    name: 'Denied beside Approved is denied',
    input: { request: certificateRequest({ conditions: [APPROVED, DENIED] }) },
    expected: { action: 'deny' },
  },
  {
    name: 'Denied is denied also when approval is not required and the issuer is missing',
    input: { request: certificateRequest({ conditions: [DENIED] }), issuer: undefined },
    policy: { requireApproval: false },
    expected: { action: 'deny' },
  },
  {
    name: 'not approved waits for its approver without a word in the status',
    input: { request: certificateRequest() },
    expected: { action: 'ignore', announce: 'WaitingForApproval' },
  },
  {
    name: 'Approved=False is not approved',
    input: { request: certificateRequest({ conditions: [{ ...APPROVED, status: 'False' }] }) },
    expected: { action: 'ignore', announce: 'WaitingForApproval' },
  },
  {
    name: 'not approved is signed where the check is disabled',
    input: { request: certificateRequest() },
    policy: { requireApproval: false },
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
      issuer: undefined,
      request: certificateRequest({
        conditions: [APPROVED],
        spec: { issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'ClusterIssuer', name: 'ca' } },
      }),
    },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerExist',
      message: 'clusterissuers.cfssl-issuer.wikimedia.org "ca" not found. Waiting for it to be created.',
    },
  },
  {
    name: 'issuer without a Ready condition',
    input: { issuer: issuer() },
    expected: { action: 'wait', event: 'WaitingForIssuerReady', message: `${waitForIssuer} <none>.` },
  },
  {
    name: 'issuer whose Ready condition is outdated',
    input: { issuer: issuer({ metadata: { generation: 2 }, conditions: [ready()] }) },
    expected: { action: 'wait', event: 'WaitingForIssuerReady', message: `${waitForIssuer} outdated.` },
  },
  {
    name: 'issuer whose Ready condition tells no generation, as the Go program wrote it',
    input: { issuer: issuer({ conditions: [{ type: 'Ready', status: 'True', reason: 'Success' }] }) },
    expected: { action: 'wait', event: 'WaitingForIssuerReady', message: `${waitForIssuer} outdated.` },
  },
  {
    name: 'issuer that is not ready',
    input: {
      issuer: issuer({ conditions: [ready({ status: 'False', reason: 'Unreachable', message: 'No answer: 100 %s' })] }),
    },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerReady',
      message: `${waitForIssuer} "Unreachable": No answer: 100 %s.`,
    },
  },
  {
    name: 'temporary failures for longer than the limit',
    input: { attempts: { firstAtMs: 0, lastError: 'CFSSL answers 503' }, nowMs: 300_001 },
    expected: { action: 'fail', message: 'CFSSL answers 503' },
  },
  {
    name: 'temporary failures within the limit',
    input: { attempts: { firstAtMs: 0, lastError: 'CFSSL answers 503' }, nowMs: 300_000 },
    expected: { action: 'sign' },
  },
  {
    name: 'what somebody wrote into the status of the issuer is made printable, and cut',
    input: {
      issuer: issuer({
        conditions: [
          ready({ status: 'False', reason: 'x'.repeat(129), message: `\u001b[2J\0%s\n${'y'.repeat(4_000)}` }),
        ],
      }),
    },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerReady',
      message: `Waiting for issuer to become ready. Current issuer ready condition is "${'x'.repeat(128)}…": \\u{1b}[2J\\u{0}%s\\u{a}${'y'.repeat(3_992)}….`,
    },
  },
  {
    name: 'so is the name of an issuer that there is not',
    input: {
      request: certificateRequest({
        conditions: [APPROVED],
        spec: { issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: '\u001b[2J' } },
      }),
      issuer: undefined,
    },
    expected: {
      action: 'wait',
      event: 'WaitingForIssuerExist',
      message: 'issuers.cfssl-issuer.wikimedia.org "\\u{1b}[2J" not found. Waiting for it to be created.',
    },
  },
  { name: 'approved, issuer ready', input: {}, expected: { action: 'sign' } },
  {
    name: 'missing kind means Issuer',
    input: {
      request: certificateRequest({
        conditions: [APPROVED],
        spec: { issuerRef: { group: 'cfssl-issuer.wikimedia.org', name: 'ca' } },
      }),
    },
    expected: { action: 'sign' },
  },
];

describe('decide()', () => {
  for (const { name, input, policy: overrides, expected } of cases) {
    test(name, () => {
      const full: DecisionInput = { request: approved, issuer: readyIssuer, nowMs: 0, ...input };
      assert.deepEqual(decide(full, { ...policy, ...overrides }), expected);
    });
  }
});
