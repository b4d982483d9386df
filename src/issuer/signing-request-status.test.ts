import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { signingRequest } from '../../test/support/builders.ts';
import type { RequestOutcome } from './request-status.ts';
import { buildSigningRequestStatus, messageOfSigningRequest } from './signing-request-status.ts';

const cases: readonly [outcome: RequestOutcome, status: unknown, message: string][] = [
  [{ state: 'Pending', message: 'Waiting' }, undefined, 'Waiting'],
  [{ state: 'Denied' }, undefined, 'The CertificateSigningRequest is denied'],
  [
    { state: 'Failed', message: 'CFSSL refuses: 100 %s' },
    {
      conditions: [
        {
          type: 'Failed',
          status: 'True',
          reason: 'Failed',
          message: 'CertificateSigningRequest has failed permanently: CFSSL refuses: 100 %s',
        },
      ],
    },
    'CertificateSigningRequest has failed permanently: CFSSL refuses: 100 %s',
  ],
  [
    { state: 'Issued', certificatePem: 'PEM\n', caPem: 'CA\n' },
    { certificate: Buffer.from('PEM\n').toString('base64') },
    'Succeeded signing the CertificateSigningRequest',
  ],
];

describe('buildSigningRequestStatus()', () => {
  for (const [outcome, status, message] of cases) {
    test(`${outcome.state}: ${status === undefined ? 'nothing to write' : message}`, () => {
      assert.deepEqual(buildSigningRequestStatus(signingRequest(), outcome), status);
      assert.equal(messageOfSigningRequest(outcome), message);
    });
  }
});
