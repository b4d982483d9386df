export {
  type Certificate,
  isIssuedBy,
  parseCertificates,
} from './certificate.ts';
export { buildChain, type CertificateChain, encodeChain } from './chain.ts';
export {
  type CheckResult,
  checkIssued,
  type Difference,
  type DifferenceCode,
  type IssuedCheck,
  type RequestedProperties,
  type WarningCode,
} from './check-issued.ts';
export { type CertificateSigningRequest, parseCsr, verifyCsr } from './csr.ts';
export { printable, X509Error, type X509ErrorCode, type X509Object } from './errors.ts';
export type { Extension } from './extensions.ts';
export { describeName, type SubjectAltName } from './general-names.ts';
export type { NameAttribute } from './name.ts';
export { encodePem } from './pem.ts';
export { describePublicKey, type PublicKey } from './public-key.ts';
export type { SignatureAlgorithm } from './signature.ts';
export type { KeyUsage } from './usages.ts';
