/**
 * Conditions, their types and reasons: the words that operators and tools read. Those of requests are cert-manager's
 * and issuer-lib's (`conditions/` there); those of issuers are ours, one a cause.
 */

export type ConditionStatus = 'True' | 'False' | 'Unknown';

export interface Condition {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason?: string;
  readonly message?: string;
  /** RFC 3339; changes only when `status` does. */
  readonly lastTransitionTime?: string;
  /** The `metadata.generation` that was looked at; issuers only. */
  readonly observedGeneration?: number;
}

/** Condition types of a CertificateRequest (cert-manager `pkg/apis/certmanager/v1/types_certificaterequest.go`). */
export const READY = 'Ready';
export const APPROVED = 'Approved';
export const DENIED = 'Denied';
export const INVALID_REQUEST = 'InvalidRequest';

/** Reasons of a request's Ready condition. */
export type RequestReason = 'Pending' | 'Failed' | 'Denied' | 'Issued';

/**
 * Reasons of an issuer's Ready condition: `Checked` when it is ready, else the cause.
 * Each has its meaning and remedy in `src/issuer/reasons.ts`; `issuer-problem.ts` and `configuration.ts` set them.
 */
export type IssuerReason =
  | 'Checked'
  | 'InvalidSpec'
  | 'SecretNotFound'
  | 'InvalidSecret'
  | 'ConfigMapNotFound'
  | 'InvalidConfigMap'
  | 'AccessDenied'
  | 'AuthenticationFailed'
  | 'AuthenticationNotConfigured'
  | 'AddressNotAllowed'
  | 'UnknownLabel'
  | 'UnknownProfile'
  | 'Unreachable'
  | 'TLSFailed'
  | 'NotCFSSL'
  | 'ServerMisconfigured'
  | 'TemporaryFailure'
  | 'CAExpired'
  | 'CertificateMismatch';
