/**
 * Everything that can go wrong between us and the API server, as one class with a code, and predicates over it.
 * No caller compares a status number: the predicates know what the API server's numbers and reasons mean
 * (client-go `apimachinery/pkg/api/errors`). Messages and details hold no token and no request body.
 */

export type KubernetesErrorCode =
  /** The kubeconfig, or what a pod finds mounted, is missing, malformed or asks for what we do not support. */
  | 'KUBERNETES_CONFIG'
  /** A token file cannot be read or a credential plugin failed. */
  | 'KUBERNETES_CREDENTIALS'
  /** The API server answered with an error. `status` and `reason` say which. */
  | 'KUBERNETES_API'
  /** No answer: refused, reset, name not resolved, TLS failed. */
  | 'KUBERNETES_CONNECTION'
  /** No answer in time. */
  | 'KUBERNETES_TIMEOUT'
  /** An answer, or one object in it, is larger than we accept. */
  | 'KUBERNETES_TOO_LARGE'
  /** An answer is not what the API promises. */
  | 'KUBERNETES_MALFORMED'
  /** Leadership was lost, or was no longer certain. */
  | 'KUBERNETES_LEASE_LOST';

export interface KubernetesErrorOptions {
  readonly status?: number | undefined;
  readonly reason?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly cause?: unknown;
}

export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  readonly code: KubernetesErrorCode;
  /** HTTP status, or the code of the Status that a watch delivered. */
  readonly status: number | undefined;
  /** The Status' machine-readable reason, such as `AlreadyExists`. */
  readonly reason: string | undefined;
  /** How long the server asks us to stay away. */
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: KubernetesErrorCode, message: string, options: KubernetesErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.reason = options.reason;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }
}

/** The part of `metav1.Status` that we read. */
export interface Status {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
  };
}

/** The error that a `Status` stands for. `doing` completes "Cannot …". */
export function errorFromStatus(doing: string, status: Status, retryAfterMs?: number): KubernetesError {
  const { code, reason, message, details } = status;
  const seconds = details?.retryAfterSeconds;
  return new KubernetesError(
    'KUBERNETES_API',
    `Cannot ${doing}: ${[code, reason].filter(Boolean).join(' ')}: ${cut(message ?? 'no message')}`,
    {
      status: code,
      reason,
      retryAfterMs: retryAfterMs ?? (seconds ? seconds * 1000 : undefined),
      details: details?.causes === undefined ? {} : { causes: details.causes },
    },
  );
}

/** The error for an answer that is not 2xx; the body is a `Status`, or what a proxy in between wrote. */
export function errorFromAnswer(
  doing: string,
  httpStatus: number,
  body: string,
  retryAfterMs?: number,
): KubernetesError {
  let status: Status | undefined;
  try {
    status = JSON.parse(body) as Status | undefined;
  } catch {
    // Not JSON: a proxy's page. The HTTP status says what there is to say.
  }
  if (status?.kind !== 'Status')
    return errorFromStatus(doing, { code: httpStatus, message: quote(body) }, retryAfterMs);
  return errorFromStatus(doing, { ...status, code: status.code ?? httpStatus }, retryAfterMs);
}

export function isKubernetesError(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError;
}

/** The object, or the kind itself, does not exist. */
export function isNotFound(error: unknown): boolean {
  return hasStatus(error, 404);
}

/** The object has changed, or has been replaced, since the resourceVersion (or UID) that was sent. */
export function isConflict(error: unknown): boolean {
  return hasStatus(error, 409) && !isAlreadyExists(error);
}

export function isAlreadyExists(error: unknown): boolean {
  return hasStatus(error, 409) && error.reason === 'AlreadyExists';
}

/** The resourceVersion or the continue token is too old: list anew. */
export function isExpired(error: unknown): boolean {
  return hasStatus(error, 410);
}

export function isUnauthorized(error: unknown): boolean {
  return hasStatus(error, 401);
}

export function isForbidden(error: unknown): boolean {
  return hasStatus(error, 403);
}

/** The request itself is wrong, such as a field selector that the server does not know. */
export function isBadRequest(error: unknown): boolean {
  return hasStatus(error, 400);
}

/** The object does not pass validation. */
export function isInvalid(error: unknown): error is KubernetesError {
  return hasStatus(error, 422);
}

export function isTooManyRequests(error: unknown): boolean {
  return hasStatus(error, 429);
}

export function isTimeout(error: unknown): boolean {
  return isKubernetesError(error) && (error.code === 'KUBERNETES_TIMEOUT' || error.status === 504);
}

/** The server has not yet seen the resourceVersion that we ask for: it was restarted, or its cache lags. */
export function isResourceVersionTooLarge(error: unknown): boolean {
  if (!hasStatus(error, 504)) return false;
  const causes = error.details['causes'];
  return (
    Array.isArray(causes) && causes.some((cause) => (cause as { reason?: string }).reason === 'ResourceVersionTooLarge')
  );
}

/** The same call may succeed later, unchanged. */
export function isRetryable(error: unknown): boolean {
  if (!isKubernetesError(error)) return false;
  if (error.code === 'KUBERNETES_CONNECTION' || error.code === 'KUBERNETES_TIMEOUT') return true;
  return error.status !== undefined && (error.status === 429 || error.status >= 500);
}

function hasStatus(error: unknown, status: number): error is KubernetesError {
  return isKubernetesError(error) && error.status === status;
}

/** Foreign text for a message: on one line, quoted, and cut. */
export function quote(text: string): string {
  return JSON.stringify(cut(text));
}

function cut(text: string): string {
  return text.length > 512 ? `${text.slice(0, 512)}…` : text;
}
