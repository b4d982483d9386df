/** cert-manager's CertificateRequest as a kind of request. */
import { CERTIFICATE_REQUESTS, type CertificateRequest, ISSUER_GROUP } from '../api/index.ts';
import { parseDuration } from '../platform/index.ts';
import { decide } from './decide.ts';
import { findIssued } from './issued-already.ts';
import { targetOf } from './issuer-reference.ts';
import { isFinished, pruneRequest } from './request-cache.ts';
import type { RequestKind } from './request-kind.ts';
import { buildRequestStatus, messageOf } from './request-status.ts';
import type { SigningInput } from './sign.ts';

export const certificateRequestKind: RequestKind<CertificateRequest> = {
  resource: CERTIFICATE_REQUESTS,
  fieldSelector: `spec.issuerRef.group=${ISSUER_GROUP}`,
  prune: pruneRequest,
  hasPendingStatus: true,
  targetOf,
  isFinished,
  decide,
  findIssued,
  signingInputOf,
  buildStatus: buildRequestStatus,
  messageOf,
};

export function signingInputOf({ spec }: CertificateRequest): SigningInput {
  const durationMs = spec.duration === undefined ? undefined : parseDuration(spec.duration);
  return {
    csrPem: Buffer.from(spec.request, 'base64').toString('utf8'),
    isCa: spec.isCA ?? false,
    ...(spec.usages === undefined ? {} : { usages: spec.usages }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}
