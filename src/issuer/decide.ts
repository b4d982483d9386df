/**
 * The whole policy of what to do with a CertificateRequest, as one pure function: a flat ladder of guards in the order of
 * cert-manager's contract. The states, reasons and sentences are issuer-lib's (`controllers/request_controller.go`),
 * but for one: a request that carries `Denied=True` is denied whether or not it was ever approved.
 */
import {
  APPROVED,
  type CertificateRequest,
  CLUSTER_ISSUERS,
  DENIED,
  ISSUERS,
  type Issuer,
  READY,
} from '../api/index.ts';
import { printable } from '../x509/index.ts';
import { findCondition, isTrue } from './conditions.ts';
import { type IssuerTarget, targetOf } from './issuer-reference.ts';
import { isFinished } from './request-cache.ts';

/** Foreign text in messages is cut to these lengths. */
const MAX_NAME = 253;
const MAX_REASON = 128;
const MAX_MESSAGE = 4_000;

export type Decision =
  /** Nothing to write; `announce` asks for the one event that says why. */
  | { readonly action: 'ignore'; readonly announce?: 'WaitingForApproval' }
  | { readonly action: 'deny' }
  /** Pending, until the issuer's next change wakes the request. */
  | {
      readonly action: 'wait';
      readonly event: 'WaitingForIssuerExist' | 'WaitingForIssuerReady';
      readonly message: string;
    }
  /** Failed for good. */
  | { readonly action: 'fail'; readonly message: string }
  | { readonly action: 'sign' };

export interface DecisionInput<R = CertificateRequest> {
  readonly request: R;
  /** As the store has it. */
  readonly issuer: Issuer | undefined;
  /** The signing attempts that this process has made for this very request, if any. */
  readonly attempts?: { readonly firstAtMs: number; readonly lastError: string } | undefined;
  /** On the same clock as `attempts.firstAtMs`. */
  readonly nowMs: number;
}

export interface DecisionPolicy {
  /** Wait for an approver; `--disable-approved-check` turns it off. */
  readonly requireApproval: boolean;
  /** How long a temporary failure is retried, counted from the first attempt. */
  readonly maxRetryDurationMs: number;
}

export function decide(input: DecisionInput, policy: DecisionPolicy): Decision {
  const { request } = input;
  const conditions = request.status?.conditions;

  const target = targetOf(request);
  if (target === undefined) return { action: 'ignore' }; // somebody else's
  if (request.metadata.deletionTimestamp !== undefined) return { action: 'ignore' }; // nobody waits for it any more
  if (isFinished(request)) return { action: 'ignore' }; // issued, failed, denied, or declared invalid by somebody
  if (isTrue(conditions, DENIED)) return { action: 'deny' };
  if (policy.requireApproval && !isTrue(conditions, APPROVED)) {
    return { action: 'ignore', announce: 'WaitingForApproval' }; // the approver's condition wakes us
  }
  return decideByIssuer(target, input, policy);
}

/** What is left to decide once the request itself, of whatever kind, is found in order and approved. */
export function decideByIssuer(
  target: IssuerTarget,
  { issuer, attempts, nowMs }: Omit<DecisionInput, 'request'>,
  policy: Pick<DecisionPolicy, 'maxRetryDurationMs'>,
): Decision {
  if (issuer === undefined) {
    const message = `${describeTarget(target)} not found. Waiting for it to be created.`;
    return { action: 'wait', event: 'WaitingForIssuerExist', message };
  }
  const obstacle = obstacleOf(issuer);
  if (obstacle !== undefined) {
    const message = `Waiting for issuer to become ready. Current issuer ready condition is ${obstacle}.`;
    return { action: 'wait', event: 'WaitingForIssuerReady', message };
  }

  if (attempts !== undefined && nowMs - attempts.firstAtMs > policy.maxRetryDurationMs) {
    return { action: 'fail', message: attempts.lastError };
  }
  return { action: 'sign' };
}

/** Why an issuer may not sign now, as the end of a sentence; undefined when it may. */
function obstacleOf(issuer: Issuer): string | undefined {
  const ready = findCondition(issuer.status?.conditions, READY);
  if (ready === undefined) return '<none>';
  if ((ready.observedGeneration ?? 0) < (issuer.metadata.generation ?? 0)) return 'outdated';
  // Whoever may write the status may have written it.
  const { reason = '', message = '' } = ready;
  if (ready.status !== 'True') return `"${printable(reason, MAX_REASON)}": ${printable(message, MAX_MESSAGE)}`;
  return undefined;
}

function describeTarget({ kind, name }: IssuerTarget): string {
  const { plural, group } = kind === 'Issuer' ? ISSUERS : CLUSTER_ISSUERS;
  return `${plural}.${group} "${printable(name, MAX_NAME)}"`;
}
