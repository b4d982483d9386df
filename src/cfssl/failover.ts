/** When the next endpoint may be asked, and what is said when none of them helped. */
import { CfsslError, type CfsslErrorCode, type EndpointFailure } from './errors.ts';

/** Another server would say the same: the request itself is refused, or nobody waits for an answer any more. */
const FINAL: ReadonlySet<CfsslErrorCode> = new Set([
  'CFSSL_ABORTED',
  'CFSSL_REQUEST_TOO_LARGE',
  'CFSSL_EMPTY_CSR',
  'CFSSL_UNREADABLE_REQUEST',
  'CFSSL_CSR_REFUSED',
  'CFSSL_CSR_NOT_ENCODABLE',
  'CFSSL_EXTENSION_NOT_ALLOWED',
  'CFSSL_POLICY_VIOLATION',
  'CFSSL_NAMES_NOT_ALLOWED',
  'CFSSL_LINT',
]);

/** What may be over soon, among what lets the next endpoint be asked. */
const TRANSIENT: ReadonlySet<CfsslErrorCode> = new Set([
  'CFSSL_UNREACHABLE',
  'CFSSL_UNAVAILABLE',
  'CFSSL_PROXY_UPSTREAM',
]);

/**
 * Whether the same request may go to the next endpoint. All that is not the request's own fault may be a single server's,
 * a wrong key or label too; but a request that may have been carried out is never sent again.
 */
export function triesNext({ code, details }: CfsslError): boolean {
  return !details.maybeProcessed && !FINAL.has(code);
}

/** The last error of one endpoint. */
export interface Attempt {
  readonly endpoint: string;
  readonly error: CfsslError;
  /** From an earlier call: the endpoint was left out of this one. */
  readonly isPast?: boolean;
}

/**
 * The one error for a call that no endpoint answered. What ended the search speaks for all; else what may be over soon, as
 * the call may succeed then; else the refusal without a reason; else the first.
 */
export function combineErrors(action: string, attempts: readonly Attempt[]): CfsslError {
  const asked = attempts.filter(({ isPast }) => !isPast);
  const spokesman =
    asked.find(({ error }) => !triesNext(error)) ??
    asked.find(({ error }) => TRANSIENT.has(error.code)) ??
    asked.find(({ error }) => error.code === 'CFSSL_BAD_REQUEST') ??
    asked[0];
  if (spokesman === undefined) throw new Error('No endpoint was asked');
  const { endpoint, error } = spokesman;
  return new CfsslError(error.code, {
    action,
    reason: attempts.map(({ endpoint, error }) => `${error.reason} at ${endpoint}`).join('; '),
    details: { ...error.details, endpoint, attempts: attempts.map(toFailure) },
    cause: error.cause,
  });
}

export function toFailure({ endpoint, error }: Attempt): EndpointFailure {
  return { endpoint, code: error.code, reason: error.reason };
}
