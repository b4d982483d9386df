export {
  type AccessReview,
  type ResourceAttributes,
  SELF_SUBJECT_ACCESS_REVIEWS,
  SUBJECT_ACCESS_REVIEWS,
} from './access-review.ts';
export {
  CERTIFICATE_REQUESTS,
  type CertificateRequest,
  type CertificateRequestSpec,
  type CertificateRequestStatus,
  type IssuerReference,
} from './certificate-request.ts';
export {
  CERTIFICATE_SIGNING_REQUESTS,
  type CertificateSigningRequest,
  type CertificateSigningRequestSpec,
  type CertificateSigningRequestStatus,
  DURATION_ANNOTATION,
  FAILED,
  IS_CA_ANNOTATION,
} from './certificate-signing-request.ts';
export {
  APPROVED,
  type Condition,
  type ConditionStatus,
  DENIED,
  INVALID_REQUEST,
  type IssuerReason,
  READY,
  type RequestReason,
} from './conditions.ts';
export {
  type CertificateSource,
  CLUSTER_ISSUERS,
  ISSUER_GROUP,
  ISSUER_VERSION,
  ISSUERS,
  type Issuer,
  type IssuerKind,
  type IssuerSpec,
  type IssuerStatus,
  issuerSpecSchema,
  issuerStatusSchema,
} from './issuer.ts';
export { type ApiResource, CONFIG_MAPS, type ConfigMap, type ObjectMeta, SECRETS, type Secret } from './metadata.ts';
