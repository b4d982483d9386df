/** cert-manager's CertificateRequest, as far as an issuer reads and writes it (`pkg/apis/certmanager/v1`). */
import type { Condition } from './conditions.ts';
import type { ApiResource, ObjectMeta } from './metadata.ts';

export interface IssuerReference {
  readonly name: string;
  readonly kind?: string;
  readonly group?: string;
}

export interface CertificateRequestSpec {
  /** The PEM of the CSR, base64. */
  readonly request: string;
  readonly issuerRef: IssuerReference;
  readonly isCA?: boolean;
  readonly usages?: readonly string[];
  /** Go duration. */
  readonly duration?: string;
  /** Who created the request, as the webhook recorded it. */
  readonly username?: string;
}

export interface CertificateRequestStatus {
  readonly conditions?: readonly Condition[];
  /** PEM, base64: the leaf, then its intermediates. */
  readonly certificate?: string;
  /** PEM, base64: the root, or the topmost CA known. */
  readonly ca?: string;
  /** RFC 3339; set with the reasons Failed and Denied. */
  readonly failureTime?: string;
}

export interface CertificateRequest {
  readonly metadata: ObjectMeta;
  readonly spec: CertificateRequestSpec;
  readonly status?: CertificateRequestStatus;
}

export const CERTIFICATE_REQUESTS: ApiResource = {
  group: 'cert-manager.io',
  version: 'v1',
  plural: 'certificaterequests',
  kind: 'CertificateRequest',
  namespaced: true,
};
