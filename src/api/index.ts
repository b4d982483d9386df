export {
  CERTIFICATE_REQUESTS,
  type CertificateRequest,
  type CertificateRequestSpec,
  type CertificateRequestStatus,
  type IssuerReference,
} from './certificate-request.ts';
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
