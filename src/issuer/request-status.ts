/**
 * The status of a request in each of its states: the one place that knows cert-manager's words for them.
 * Sentences are issuer-lib's (`controllers/request_objecthelper_certificaterequest.go`), which operators and tools know.
 */
import { type CertificateRequest, type CertificateRequestStatus, READY, type RequestReason } from '../api/index.ts';
import { formatTime } from '../platform/index.ts';
import { buildCondition, findCondition, isSameCondition } from './conditions.ts';

export type RequestOutcome =
  | { readonly state: 'Pending'; readonly message: string }
  | { readonly state: 'Failed'; readonly message: string }
  | { readonly state: 'Denied' }
  | { readonly state: 'Issued'; readonly certificatePem: string; readonly caPem: string | undefined };

const DENIED_MESSAGE = 'Detected that the CertificateRequest is denied, so it will never be Ready.';

/** The status to apply, or undefined when the request already says exactly that. */
export function buildRequestStatus(
  request: CertificateRequest,
  outcome: RequestOutcome,
  nowMs: number,
): CertificateRequestStatus | undefined {
  const present = request.status?.conditions;
  const next = {
    type: READY,
    status: outcome.state === 'Issued' ? ('True' as const) : ('False' as const),
    reason: outcome.state satisfies RequestReason,
    message: messageOf(outcome),
  };
  const condition = buildCondition(present, next, nowMs);
  if (isSameCondition(findCondition(present, READY), condition)) return undefined;
  const conditions = [condition];
  switch (outcome.state) {
    case 'Pending':
      return { conditions };
    case 'Failed':
    case 'Denied':
      return { conditions, failureTime: formatTime(nowMs) };
    case 'Issued': {
      const ca = outcome.caPem === undefined ? {} : { ca: toBase64(outcome.caPem) };
      return { conditions, certificate: toBase64(outcome.certificatePem), ...ca };
    }
  }
}

export function messageOf(outcome: RequestOutcome): string {
  switch (outcome.state) {
    case 'Pending':
      return outcome.message;
    case 'Failed':
      return `Failed permanently to sign CertificateRequest: ${outcome.message}`;
    case 'Denied':
      return DENIED_MESSAGE;
    case 'Issued':
      return 'Succeeded signing the CertificateRequest';
  }
}

function toBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
