export {
  type AnswerHeaders,
  type InfoResult,
  type ProbeResult,
  parseInfoAnswer,
  parseProbeAnswer,
  parseSignAnswer,
  type SignResult,
} from './answers.ts';
export {
  type CallOptions,
  type CfsslClient,
  type CfsslClientConfig,
  type CfsslClientDeps,
  createCfsslClient,
  type InfoAnswer,
  type KeyName,
  type ProbeAnswer,
  type ProbeOptions,
  type SignAnswer,
  type SignOptions,
} from './client.ts';
export type { EndpointState } from './endpoint-health.ts';
export { type Endpoint, parseEndpoints } from './endpoints.ts';
export {
  CFSSL_ERRORS,
  CfsslError,
  type CfsslErrorCode,
  type CfsslErrorDetails,
  type CfsslErrorOptions,
  type EndpointFailure,
  isCfsslError,
} from './errors.ts';
export type { SignRequest, Target } from './requests.ts';
export type { TlsConfig } from './tls-context.ts';
export { AuthKey, createToken, parseAuthKey } from './token.ts';
export {
  API_PREFIX,
  type AuthenticatedRequest,
  type BundleJson,
  type CfsslMessage,
  type Envelope,
  type ExtensionJson,
  type InfoRequestJson,
  type InfoResultJson,
  type SignRequestJson,
  type SignResultJson,
} from './wire.ts';
