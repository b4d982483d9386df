/**
 * Why an issuer is not ready: a reason code for machines and a sentence that tells people what to do. Names and values of
 * the spec may be in it, so it is made printable.
 */
import type { IssuerReason } from '../api/index.ts';
import type { CfsslError, CfsslErrorCode } from '../cfssl/index.ts';
import { printable } from '../x509/index.ts';

/** More than the longest list of servers and their errors takes. */
const MAX_MESSAGE = 24_000;

export class IssuerProblem extends Error {
  override readonly name = 'IssuerProblem';
  readonly reason: Exclude<IssuerReason, 'Checked'>;

  constructor(reason: Exclude<IssuerReason, 'Checked'>, message: string, options?: ErrorOptions) {
    super(printable(message, MAX_MESSAGE), options);
    this.reason = reason;
  }
}

/** Labels and profiles are cut to this length. */
const MAX_SHOWN = 200;

/** Names in the sentences of `problemOf`. */
export interface ProblemContext {
  /** `namespace/name` of the auth Secret. */
  readonly secret: string;
  readonly label: string;
  readonly profile: string | undefined;
  /** Present: not the profile but this one was asked about. */
  readonly caProfile?: string | undefined;
}

/**
 * The problem of an issuer whose check failed with a CFSSL error: what was seen at which server, and what to do.
 * The error's reason stands in it; it names the endpoints and holds nothing secret or volatile.
 */
export function problemOf(error: CfsslError, context: ProblemContext): IssuerProblem {
  const [reason, remedy] = remedyOf(error.code, context);
  const seen = error.reason.charAt(0).toUpperCase() + error.reason.slice(1);
  return new IssuerProblem(reason, `${seen}; ${remedy}`, { cause: error });
}

function remedyOf(code: CfsslErrorCode, context: ProblemContext): [IssuerProblem['reason'], string] {
  const profile = context.caProfile ?? context.profile;
  const profileField = context.caProfile === undefined ? 'spec.profile' : 'spec.caProfile';
  const [secret, label] = [printable(context.secret, MAX_SHOWN), printable(context.label, MAX_SHOWN)];
  const shownProfile = profile === undefined ? 'the default profile' : `profile "${printable(profile, MAX_SHOWN)}"`;
  switch (code) {
    case 'CFSSL_INVALID_TOKEN':
      if (context.caProfile !== undefined) {
        return ['AuthenticationFailed', `give ${shownProfile} (${profileField}) the auth_key that spec.profile has`];
      }
      return ['AuthenticationFailed', `check the field "key" of Secret ${secret}`];
    case 'CFSSL_INVALID_KEY':
      return ['InvalidSecret', `mend the field "key" of Secret ${secret}`];
    case 'CFSSL_INVALID_URL':
      return ['InvalidSpec', 'mend spec.url'];
    case 'CFSSL_INVALID_TLS':
      return ['TLSFailed', 'mend the certificates that spec.tls names'];
    case 'CFSSL_UNKNOWN_LABEL':
      return ['UnknownLabel', `check spec.label ("${label}") against the labels of the server`];
    case 'CFSSL_UNKNOWN_PROFILE':
      return [
        'UnknownProfile',
        `check ${profileField}: the server has no ${profile === undefined ? 'default profile' : shownProfile} for label "${label}"`,
      ];
    case 'CFSSL_NO_AUTH_KEY':
    case 'CFSSL_AUTH_MISMATCH':
      return ['AuthenticationNotConfigured', `give ${shownProfile} an auth_key in CFSSL's configuration`];
    case 'CFSSL_ADDRESS_NOT_ALLOWED':
      return ['AddressNotAllowed', `add this controller's address to the "nets" of label "${label}"`];
    case 'CFSSL_UNREACHABLE':
    case 'CFSSL_TIMEOUT':
    case 'CFSSL_CONNECTION_LOST':
    case 'CFSSL_ABORTED':
      return ['Unreachable', 'check that CFSSL runs and that spec.url and the network lead to it'];
    case 'CFSSL_TLS_TRUST':
    case 'CFSSL_CLIENT_NAME_REFUSED':
      return ['TLSFailed', 'check spec.tls against the certificate of the server'];
    case 'CFSSL_WRONG_SCHEME':
      return ['TLSFailed', 'check the scheme (http or https) in spec.url'];
    case 'CFSSL_INVALID_ANSWER':
    case 'CFSSL_REDIRECT':
    case 'CFSSL_NOT_FOUND':
    case 'CFSSL_METHOD_REFUSED':
    case 'CFSSL_PROXY_LOGIN':
    case 'CFSSL_FORBIDDEN':
    case 'CFSSL_REQUEST_TOO_LARGE':
      return ['NotCFSSL', 'check that spec.url is the base URL of a CFSSL server, without /api/v1/cfssl'];
    case 'CFSSL_UNAVAILABLE':
    case 'CFSSL_PROXY_UPSTREAM':
    case 'CFSSL_CT_LOG':
    case 'CFSSL_DATABASE':
    case 'CFSSL_SERVER_ERROR':
      return ['TemporaryFailure', 'see the log of the CFSSL server; it is asked again in a few seconds'];
    case 'CFSSL_SIGNER_BROKEN':
    case 'CFSSL_SERVER_CERTIFICATES':
    case 'CFSSL_SERVER_KEY':
    case 'CFSSL_SERIAL_REQUIRED':
    case 'CFSSL_POLICY_BROKEN':
    case 'CFSSL_BUNDLE_FAILED':
    case 'CFSSL_PROXY_KEY':
    case 'CFSSL_PROXY_SETUP':
    case 'CFSSL_BAD_REQUEST':
    case 'CFSSL_EMPTY_CSR':
    case 'CFSSL_UNREADABLE_REQUEST':
    case 'CFSSL_CSR_REFUSED':
    case 'CFSSL_CSR_NOT_ENCODABLE':
    case 'CFSSL_EXTENSION_NOT_ALLOWED':
    case 'CFSSL_POLICY_VIOLATION':
    case 'CFSSL_NAMES_NOT_ALLOWED':
    case 'CFSSL_LINT':
    case 'CFSSL_UNKNOWN_REFUSAL':
      return ['ServerMisconfigured', 'see the log and the configuration of the CFSSL server'];
    default:
      return code satisfies never;
  }
}
