import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { APPROVED, certificateRequest } from '../../test/support/builders.ts';
import type { CertificateRequestStatus, Condition } from '../api/index.ts';
import { buildRequestStatus, messageOf, type RequestOutcome } from './request-status.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const NOW = '2026-01-02T00:00:00Z';
const BEFORE = '2026-01-01T00:00:00Z';

const CHAIN = '-----BEGIN CERTIFICATE-----\nä\n-----END CERTIFICATE-----\n';
const CA = '-----BEGIN CERTIFICATE-----\nCA\n-----END CERTIFICATE-----\n';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const pending: Condition = {
  type: 'Ready',
  status: 'False',
  reason: 'Pending',
  message: 'Waiting',
  lastTransitionTime: BEFORE,
};

interface Case {
  readonly name: string;
  readonly present?: readonly Condition[];
  readonly outcome: RequestOutcome;
  readonly expected: CertificateRequestStatus | undefined;
}

const cases: readonly Case[] = [
  {
    name: 'Pending',
    outcome: { state: 'Pending', message: 'Waiting' },
    expected: { conditions: [{ ...pending, lastTransitionTime: NOW }] },
  },
  {
    name: 'Pending for another cause keeps the time of the transition',
    present: [pending],
    outcome: { state: 'Pending', message: 'Still waiting' },
    expected: { conditions: [{ ...pending, message: 'Still waiting' }] },
  },
  {
    name: 'Pending that says so already is not written again',
    present: [APPROVED, pending],
    outcome: { state: 'Pending', message: 'Waiting' },
    expected: undefined,
  },
  {
    name: 'Failed has the time of the failure',
    outcome: { state: 'Failed', message: 'the CSR is no CSR' },
    expected: {
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'Failed',
          message: 'Failed permanently to sign CertificateRequest: the CSR is no CSR',
          lastTransitionTime: NOW,
        },
      ],
      failureTime: NOW,
    },
  },
  {
    name: 'Failed after Pending: the failure is new, the transition is not',
    present: [pending],
    outcome: { state: 'Failed', message: 'the CSR is no CSR' },
    expected: {
      conditions: [
        { ...pending, reason: 'Failed', message: 'Failed permanently to sign CertificateRequest: the CSR is no CSR' },
      ],
      failureTime: NOW,
    },
  },
  {
    name: 'Denied has the time of the failure',
    outcome: { state: 'Denied' },
    expected: {
      conditions: [
        {
          type: 'Ready',
          status: 'False',
          reason: 'Denied',
          message: 'Detected that the CertificateRequest is denied, so it will never be Ready.',
          lastTransitionTime: NOW,
        },
      ],
      failureTime: NOW,
    },
  },
  {
    name: 'Issued has the certificate and the CA, in base64',
    present: [APPROVED, pending],
    outcome: { state: 'Issued', certificatePem: CHAIN, caPem: CA },
    expected: {
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Issued',
          message: 'Succeeded signing the CertificateRequest',
          lastTransitionTime: NOW,
        },
      ],
      certificate: base64(CHAIN),
      ca: base64(CA),
    },
  },
  {
    name: 'Issued without a known CA has none',
    outcome: { state: 'Issued', certificatePem: CHAIN, caPem: undefined },
    expected: {
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Issued',
          message: 'Succeeded signing the CertificateRequest',
          lastTransitionTime: NOW,
        },
      ],
      certificate: base64(CHAIN),
    },
  },
];

describe('buildRequestStatus()', () => {
  for (const { name, present, outcome, expected } of cases) {
    test(name, () => {
      const request = certificateRequest(present === undefined ? {} : { conditions: present });
      assert.deepEqual(buildRequestStatus(request, outcome, NOW_MS), expected);
    });
  }

  for (const { name, outcome } of cases) {
    test(`${name}: is not written a second time`, () => {
      const once = buildRequestStatus(certificateRequest(), outcome, NOW_MS);
      assert.ok(once !== undefined);
      assert.equal(buildRequestStatus(certificateRequest({ status: once }), outcome, NOW_MS + 1000), undefined);
    });
  }

  test('a message that had to be cut is not written a second time', () => {
    const outcome = { state: 'Pending', message: 'x'.repeat(40_000) } as const;
    const once = buildRequestStatus(certificateRequest(), outcome, NOW_MS);
    assert.ok(once !== undefined);
    assert.ok(buildRequestStatus(certificateRequest({ status: once }), outcome, NOW_MS) === undefined);
  });
});

describe('messageOf()', () => {
  test('is the message of the condition', () => {
    for (const { outcome } of cases) {
      const status = buildRequestStatus(certificateRequest(), outcome, NOW_MS);
      assert.equal(status?.conditions?.[0]?.message, messageOf(outcome));
    }
  });
});
