/**
 * Whose fault a failed signing is, for each of CFSSL's error codes. This is the first verdict, by the code alone:
 * `request`, nothing but another request helps; `issuer`, the server or its set-up must change; `temporary`, trying
 * again may help; `unclear`, multirootca's bare "bad request". Only the first is final. For all others the issuer is
 * probed with a call that does not depend on the request, so no request's content can turn an issuer not Ready.
 */
import type { CfsslErrorCode } from '../cfssl/index.ts';

export type Fault = 'request' | 'issuer' | 'temporary' | 'unclear';

export function faultOf(code: CfsslErrorCode): Fault {
  switch (code) {
    case 'CFSSL_CSR_NOT_ENCODABLE':
    case 'CFSSL_CSR_REFUSED':
    case 'CFSSL_EMPTY_CSR':
    case 'CFSSL_EXTENSION_NOT_ALLOWED':
    case 'CFSSL_LINT':
    case 'CFSSL_NAMES_NOT_ALLOWED':
    case 'CFSSL_POLICY_VIOLATION':
    case 'CFSSL_REQUEST_TOO_LARGE':
    case 'CFSSL_UNREADABLE_REQUEST':
      return 'request';
    case 'CFSSL_ADDRESS_NOT_ALLOWED':
    case 'CFSSL_AUTH_MISMATCH':
    case 'CFSSL_BUNDLE_FAILED':
    case 'CFSSL_CLIENT_NAME_REFUSED':
    case 'CFSSL_FORBIDDEN':
    case 'CFSSL_INVALID_KEY':
    case 'CFSSL_INVALID_TLS':
    case 'CFSSL_INVALID_TOKEN':
    case 'CFSSL_INVALID_URL':
    case 'CFSSL_METHOD_REFUSED':
    case 'CFSSL_NO_AUTH_KEY':
    case 'CFSSL_NOT_FOUND':
    case 'CFSSL_POLICY_BROKEN':
    case 'CFSSL_PROXY_KEY':
    case 'CFSSL_PROXY_LOGIN':
    case 'CFSSL_PROXY_SETUP':
    case 'CFSSL_REDIRECT':
    case 'CFSSL_SERIAL_REQUIRED':
    case 'CFSSL_SERVER_CERTIFICATES':
    case 'CFSSL_SERVER_KEY':
    case 'CFSSL_SIGNER_BROKEN':
    case 'CFSSL_TLS_TRUST':
    case 'CFSSL_UNKNOWN_LABEL':
    case 'CFSSL_UNKNOWN_PROFILE':
    case 'CFSSL_WRONG_SCHEME':
      return 'issuer';
    case 'CFSSL_ABORTED':
    case 'CFSSL_CONNECTION_LOST':
    case 'CFSSL_CT_LOG':
    case 'CFSSL_DATABASE':
    case 'CFSSL_INVALID_ANSWER':
    case 'CFSSL_PROXY_UPSTREAM':
    case 'CFSSL_SERVER_ERROR':
    case 'CFSSL_TIMEOUT':
    case 'CFSSL_UNAVAILABLE':
    case 'CFSSL_UNKNOWN_REFUSAL':
    case 'CFSSL_UNREACHABLE':
      return 'temporary';
    case 'CFSSL_BAD_REQUEST':
      return 'unclear';
    default:
      return code satisfies never;
  }
}
