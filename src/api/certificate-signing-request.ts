/** Kubernetes' CertificateSigningRequest, as far as a signer reads and writes it (`certificates.k8s.io/v1`). */
import type { Condition } from './conditions.ts';
import type { ApiResource, ObjectMeta } from './metadata.ts';

/** All of it is fixed when the request is created. */
export interface CertificateSigningRequestSpec {
  /** The PEM of the CSR, base64. */
  readonly request: string;
  /** `DOMAIN/NAME`; the domain is the signer's. */
  readonly signerName: string;
  /** In the same words as cert-manager's. */
  readonly usages?: readonly string[];
  /** 600 or more. */
  readonly expirationSeconds?: number;
  /** Who created the request, as the API server saw it; so are the three below. */
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface CertificateSigningRequestStatus {
  /** Approved, Denied and Failed: each is True or absent, and stays once it is there. */
  readonly conditions?: readonly Condition[];
  /** PEM, base64: the leaf, then its intermediates. Fixed once it is set. */
  readonly certificate?: string;
}

export interface CertificateSigningRequest {
  readonly metadata: ObjectMeta;
  readonly spec: CertificateSigningRequestSpec;
  readonly status?: CertificateSigningRequestStatus;
}

/** Condition type of a request that will never be signed; the types of approval are as cert-manager's. */
export const FAILED = 'Failed';

/** The signer shall issue a CA: "true". */
export const IS_CA_ANNOTATION = 'experimental.cert-manager.io/request-is-ca';
/** Go duration; goes before `expirationSeconds`. */
export const DURATION_ANNOTATION = 'experimental.cert-manager.io/request-duration';

export const CERTIFICATE_SIGNING_REQUESTS: ApiResource = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  namespaced: false,
};
