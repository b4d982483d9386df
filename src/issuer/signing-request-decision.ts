/**
 * The whole policy of what to do with a CertificateSigningRequest, as one pure function: a ladder like that of
 * `decide()`, by the rules of `certificates.k8s.io`. A signer never signs before `Approved`, which no flag changes, and
 * writes nothing about a request that an approver denied.
 */
import {
  APPROVED,
  type CertificateSigningRequest,
  DENIED,
  DURATION_ANNOTATION,
  FAILED,
  ISSUER_GROUP,
} from '../api/index.ts';
import { formatDuration } from '../platform/index.ts';
import { findCondition } from './conditions.ts';
import { type Decision, type DecisionInput, type DecisionPolicy, decideByIssuer } from './decide.ts';
import { targetOfSigner } from './issuer-reference.ts';
import { durationMsOf } from './signing-request-input.ts';

/** The API server's limit for `expirationSeconds`; cert-manager holds the annotation to the same. */
const MIN_DURATION_MS = 600_000;

export function decideSigningRequest(
  input: DecisionInput<CertificateSigningRequest>,
  policy: Pick<DecisionPolicy, 'maxRetryDurationMs'>,
): Decision {
  const { request } = input;
  const target = targetOfSigner(request.spec.signerName);
  if (target === undefined) return { action: 'ignore' }; // somebody else's
  if (request.metadata.deletionTimestamp !== undefined) return { action: 'ignore' }; // nobody waits for it any more
  if (isFinishedSigningRequest(request)) return { action: 'ignore' }; // done
  if (!hasCondition(request, APPROVED)) return { action: 'ignore', announce: 'WaitingForApproval' }; // wakes us

  if (target.namespace === '') {
    const message = `The signer name lacks the namespace of the Issuer: issuers.${ISSUER_GROUP}/NAMESPACE.${target.name}`;
    return { action: 'fail', message };
  }
  const durationMs = durationMsOf(request);
  if (durationMs === 'unreadable') {
    return { action: 'fail', message: `The annotation ${DURATION_ANNOTATION} is no duration` };
  }
  if (durationMs !== undefined && durationMs < MIN_DURATION_MS) {
    const [shortest, asked] = [formatDuration(MIN_DURATION_MS), formatDuration(durationMs)];
    return { action: 'fail', message: `The shortest duration is ${shortest}, the request asks for ${asked}` };
  }
  return decideByIssuer(target, input, policy);
}

/** Whether nothing will ever be done about the request again: signed, denied, or failed, each of which is final. */
export function isFinishedSigningRequest(request: CertificateSigningRequest): boolean {
  const { certificate = '' } = request.status ?? {};
  return certificate !== '' || hasCondition(request, DENIED) || hasCondition(request, FAILED);
}

/** The API server lets these conditions be True only, so that one that is there says yes. */
function hasCondition({ status }: CertificateSigningRequest, type: string): boolean {
  return findCondition(status?.conditions, type) !== undefined;
}
