/**
 * The one error of this room. Its code says what is wrong, one code a row of CFSSL's error table (finer where the row
 * mixes causes); whose fault that is, is the caller's policy. Text from a server is cut, made printable and quoted when
 * the error is made, and stripped of what changes from one time to the next, so that it may stand in a condition.
 */

/** What each code means, as it stands in messages and in the reference. */
export const CFSSL_ERRORS = {
  // Configuration, found before anything is sent.
  CFSSL_INVALID_URL: 'the URL cannot be used',
  CFSSL_INVALID_KEY: 'the authentication key cannot be used',
  CFSSL_INVALID_TLS: 'the TLS certificates or key cannot be used',

  // No answer.
  CFSSL_UNREACHABLE: 'the server cannot be reached',
  CFSSL_TIMEOUT: 'the server did not answer in time',
  CFSSL_CONNECTION_LOST: 'the connection broke before the answer was complete',
  CFSSL_TLS_TRUST: 'TLS failed: the server or our client certificate is not trusted',
  CFSSL_WRONG_SCHEME: 'the URL says http where the server speaks https, or the reverse',
  CFSSL_ABORTED: 'the call was cancelled',

  // Not CFSSL that answers.
  CFSSL_INVALID_ANSWER: 'the answer is not what CFSSL gives',
  CFSSL_REDIRECT: 'the server redirects, which is not followed: the URL is wrong',
  CFSSL_NOT_FOUND: 'no such CFSSL endpoint: wrong path in the URL, or the server started without a usable signer',
  CFSSL_METHOD_REFUSED: 'the server does not take POST here: the URL is wrong, or something redirects',
  CFSSL_PROXY_LOGIN: 'something in front of CFSSL demands a login',
  CFSSL_FORBIDDEN: 'something in front of CFSSL forbids the request',
  CFSSL_REQUEST_TOO_LARGE: 'the request is too large for something in front of CFSSL',
  CFSSL_UNAVAILABLE: 'the server is unavailable for now',

  // Refusals: access and set-up.
  CFSSL_INVALID_TOKEN: 'the key or the additional data is wrong',
  CFSSL_UNKNOWN_LABEL: 'the server does not know the label',
  CFSSL_UNKNOWN_PROFILE: 'the server does not know the profile',
  CFSSL_NO_AUTH_KEY: "the profile has no auth_key in the server's configuration",
  CFSSL_AUTH_MISMATCH: 'the profile is not made for authenticated signing',
  CFSSL_ADDRESS_NOT_ALLOWED: "our address is not among the label's nets",
  CFSSL_CLIENT_NAME_REFUSED: 'the name in our client certificate is refused',
  CFSSL_SIGNER_BROKEN: 'the server could not make the certificate: its key or certificate is not right',
  CFSSL_SERVER_CERTIFICATES: "the server's certificate files or its bundling are not right",
  CFSSL_SERVER_KEY: "the server's key, intermediates or roots are not right",
  CFSSL_SERIAL_REQUIRED: 'the profile wants serial numbers from the client, which are never sent',
  CFSSL_POLICY_BROKEN: 'the profile or the policy of the server is unknown or broken',
  CFSSL_BUNDLE_FAILED: 'the certificate was issued but the server could not bundle it',
  CFSSL_PROXY_KEY: 'the key that the CFSSL proxy uses towards its own server is refused',
  CFSSL_PROXY_SETUP: "the CFSSL proxy's remote is not set up",

  // Refusals: the request.
  CFSSL_BAD_REQUEST: 'refused without a reason: unknown label, the CSR, the policy, or trouble inside the server',
  CFSSL_EMPTY_CSR: 'the request holds no CSR',
  CFSSL_UNREADABLE_REQUEST: 'the server cannot read the request',
  CFSSL_CSR_REFUSED: 'the server cannot use the CSR',
  CFSSL_CSR_NOT_ENCODABLE: 'the names of the CSR cannot stand in a certificate',
  CFSSL_EXTENSION_NOT_ALLOWED: 'the profile does not allow an extension that was asked for',
  CFSSL_POLICY_VIOLATION: 'the CSR asks for a CA certificate that the profile does not allow',
  CFSSL_NAMES_NOT_ALLOWED: "the CSR's names are not on the profile's whitelist",
  CFSSL_LINT: "the certificate does not pass the profile's lint",

  // Trouble inside the server.
  CFSSL_PROXY_UPSTREAM: 'the CFSSL proxy had trouble with its own server',
  CFSSL_CT_LOG: 'the server had trouble with a certificate transparency log',
  CFSSL_DATABASE: 'the server had trouble with its database',
  CFSSL_SERVER_ERROR: 'the server failed',
  CFSSL_UNKNOWN_REFUSAL: 'the server refused for a reason that is not known here',
} as const;

export type CfsslErrorCode = keyof typeof CFSSL_ERRORS;

/** Why one endpoint did not help. */
export interface EndpointFailure {
  readonly endpoint: string;
  readonly code: CfsslErrorCode;
  /** One line, nothing volatile. */
  readonly reason: string;
}

export interface CfsslErrorDetails {
  /** Base URL; it never holds credentials. */
  readonly endpoint?: string;
  readonly httpStatus?: number;
  readonly cfsslCode?: number;
  /** Printable and cut, not quoted. */
  readonly cfsslMessage?: string;
  /** True when a certificate may have been issued all the same. Such a request is never sent again by the client. */
  readonly maybeProcessed: boolean;
  /** The server's own wish, from `Retry-After` in seconds. */
  readonly retryAfterMs?: number;
  /** The last error of every endpoint, those included that were left out because they failed a moment ago. */
  readonly attempts?: readonly EndpointFailure[];
}

export interface CfsslErrorOptions {
  /** What could not be done: "Cannot sign at https://ca.example". */
  readonly action: string;
  /** What was seen, one line, nothing volatile. */
  readonly reason: string;
  readonly details?: CfsslErrorDetails;
  readonly cause?: unknown;
}

export class CfsslError extends Error {
  override readonly name = 'CfsslError';
  readonly code: CfsslErrorCode;
  /** The message without the action. */
  readonly reason: string;
  readonly details: CfsslErrorDetails;

  constructor(code: CfsslErrorCode, { action, reason, details = { maybeProcessed: false }, cause }: CfsslErrorOptions) {
    super(`${action}: ${reason}`, cause === undefined ? {} : { cause });
    this.code = code;
    this.reason = reason;
    this.details = details;
  }
}

/** True for a `CfsslError`, of one code if given. */
export function isCfsslError(error: unknown, code?: CfsslErrorCode): error is CfsslError {
  return error instanceof CfsslError && (code === undefined || error.code === code);
}

const MAX_FOREIGN_TEXT = 200;

/** As long as a token, at least: a server that echoes what it was sent must not put it into a condition. */
const BASE64 = /[A-Za-z0-9+/]{40,}={0,2}/g;

/** Foreign text made fit for a message: printable, on one line, cut, and without what Go puts in that always changes. */
export function printable(text: string): string {
  const line = text
    .replaceAll(BASE64, '…')
    .slice(0, 4 * MAX_FOREIGN_TEXT) // the patterns below take quadratic time
    .toWellFormed()
    .replaceAll(/[\p{C}\p{Z}]+/gu, ' ')
    .replaceAll(/\S+:\d+->/g, '') // "read tcp 10.0.0.1:51234->10.0.0.2:443": our side's port
    .replaceAll(/current time \S+ /g, 'current time ')
    .trim();
  return line.length <= MAX_FOREIGN_TEXT ? line : `${line.slice(0, MAX_FOREIGN_TEXT).toWellFormed()}…`;
}

/** The same, in quotation marks. */
export function quoted(text: string): string {
  return JSON.stringify(printable(text));
}
