/**
 * The status of a CertificateSigningRequest. The API knows an end only: a certificate, or `Failed`; sentences are
 * issuer-lib's (`controllers/request_objecthelper_certificatesigningrequest.go`). The API server adds the times.
 */
import type { CertificateSigningRequest, CertificateSigningRequestStatus } from '../api/index.ts';
import { FAILED } from '../api/index.ts';
import type { RequestOutcome } from './request-status.ts';

/** The status to apply, or undefined when the API has no word for it. */
export function buildSigningRequestStatus(
  _: CertificateSigningRequest,
  outcome: RequestOutcome,
): CertificateSigningRequestStatus | undefined {
  switch (outcome.state) {
    case 'Pending':
    case 'Denied': // said by the approver already
      return undefined;
    case 'Failed':
      return {
        conditions: [{ type: FAILED, status: 'True', reason: 'Failed', message: messageOfSigningRequest(outcome) }],
      };
    case 'Issued':
      return { certificate: Buffer.from(outcome.certificatePem, 'utf8').toString('base64') };
  }
}

export function messageOfSigningRequest(outcome: RequestOutcome): string {
  switch (outcome.state) {
    case 'Pending':
      return outcome.message;
    case 'Failed':
      return `CertificateSigningRequest has failed permanently: ${outcome.message}`;
    case 'Denied':
      return 'The CertificateSigningRequest is denied';
    case 'Issued':
      return 'Succeeded signing the CertificateSigningRequest';
  }
}
