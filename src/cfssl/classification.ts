/**
 * What CFSSL's refusals mean: the decision table of CFSSL's error semantics (cfssl-api.md 6.2) as data, read from top to
 * bottom, first match wins. By HTTP status for what need not be CFSSL at all, by (code, message) for CFSSL's envelope.
 * Codes come first, since they are stable; messages are compared exactly, or by the pattern that the server builds them from.
 */
import type { CfsslErrorCode } from './errors.ts';
import type { CfsslMessage } from './wire.ts';

export interface Verdict {
  readonly code: CfsslErrorCode;
  /** A certificate may exist: the error can come up after signing, or tells nothing about it. */
  readonly maybeProcessed: boolean;
}

interface StatusRow {
  readonly statuses: readonly [from: number, to: number];
  readonly code: CfsslErrorCode;
  readonly maybeProcessed?: true;
}

/**
 * Statuses that decide by themselves, whatever the body. Those below 500 mean that nothing was taken up. 502 to 504 come
 * from proxies, 503 too after the request was passed on (Envoy's "reset before headers"): they prove nothing.
 */
const STATUS_ROWS: readonly StatusRow[] = [
  { statuses: [300, 399], code: 'CFSSL_REDIRECT' },
  { statuses: [404, 404], code: 'CFSSL_NOT_FOUND' },
  { statuses: [405, 405], code: 'CFSSL_METHOD_REFUSED' },
  { statuses: [407, 407], code: 'CFSSL_PROXY_LOGIN' },
  { statuses: [408, 408], code: 'CFSSL_UNAVAILABLE' },
  { statuses: [413, 413], code: 'CFSSL_REQUEST_TOO_LARGE' },
  { statuses: [425, 425], code: 'CFSSL_UNAVAILABLE' },
  { statuses: [429, 429], code: 'CFSSL_UNAVAILABLE' },
  { statuses: [431, 431], code: 'CFSSL_REQUEST_TOO_LARGE' },
  { statuses: [502, 504], code: 'CFSSL_UNAVAILABLE', maybeProcessed: true },
];

interface ErrorRow {
  readonly codes: readonly [from: number, to: number];
  /** Absent: any message. */
  readonly message?: string | RegExp;
  readonly code: CfsslErrorCode;
  readonly maybeProcessed?: true;
}

/** Texts of Go's JSON, base64 and time packages, and what `cfssl serve` says in place of them. */
const UNREADABLE =
  /^(?:unexpected end of JSON input$|invalid character |json: |illegal base64 data |parsing time |Time\.UnmarshalJSON: |Unable to parse (?:authenticated )?sign request$)/;

const ERROR_ROWS: readonly ErrorRow[] = [
  // multirootca: one code for everything.
  { codes: [1, 1], message: 'bad request', code: 'CFSSL_BAD_REQUEST' },
  { codes: [1, 1], message: 'invalid token', code: 'CFSSL_INVALID_TOKEN' },
  { codes: [1, 1], message: 'invalid profile', code: 'CFSSL_UNKNOWN_PROFILE' },
  { codes: [1, 1], message: 'authorisation required', code: 'CFSSL_NO_AUTH_KEY' },
  { codes: [1, 1], message: 'not authorised', code: 'CFSSL_ADDRESS_NOT_ALLOWED' },
  { codes: [1, 1], message: 'invalid request', code: 'CFSSL_EMPTY_CSR' },
  { codes: [1, 1], message: 'only POST is permitted', code: 'CFSSL_METHOD_REFUSED' },
  { codes: [1, 1], message: UNREADABLE, code: 'CFSSL_UNREADABLE_REQUEST' },
  { codes: [1, 1], message: 'error creating bundle', code: 'CFSSL_BUNDLE_FAILED', maybeProcessed: true },
  { codes: [1, 1], message: /^This request requires a bundler/, code: 'CFSSL_BUNDLE_FAILED', maybeProcessed: true },

  // Both servers' `info` and `cfssl serve`: copies of the HTTP status.
  { codes: [400, 400], message: 'bad label', code: 'CFSSL_UNKNOWN_LABEL' },
  { codes: [400, 400], message: 'invalid token', code: 'CFSSL_INVALID_TOKEN' },
  { codes: [400, 400], message: "missing parameter 'certificate_request'", code: 'CFSSL_EMPTY_CSR' },
  { codes: [400, 400], message: 'authentication required', code: 'CFSSL_AUTH_MISMATCH' },
  { codes: [400, 400], message: 'no authentication provider', code: 'CFSSL_AUTH_MISMATCH' },
  { codes: [400, 400], message: UNREADABLE, code: 'CFSSL_UNREADABLE_REQUEST' },
  { codes: [405, 405], code: 'CFSSL_METHOD_REFUSED' },

  // `cfssl serve`: CFSSL's own codes. What bundling can cause comes after the certificate was issued.
  { codes: [1000, 1000], message: /cannot be encoded as an IA5String|malformed/, code: 'CFSSL_CSR_NOT_ENCODABLE' },
  { codes: [1000, 1000], code: 'CFSSL_SIGNER_BROKEN' },
  { codes: [1001, 1003], code: 'CFSSL_SERVER_CERTIFICATES', maybeProcessed: true },
  { codes: [1100, 1100], code: 'CFSSL_SERVER_CERTIFICATES', maybeProcessed: true },
  { codes: [1200, 1299], code: 'CFSSL_SERVER_CERTIFICATES', maybeProcessed: true },
  { codes: [1300, 1300], code: 'CFSSL_EXTENSION_NOT_ALLOWED' },
  { codes: [1400, 1400], code: 'CFSSL_SERIAL_REQUIRED' },
  { codes: [2000, 4999], code: 'CFSSL_SERVER_KEY', maybeProcessed: true },
  { codes: [5100, 5100], code: 'CFSSL_POLICY_BROKEN' },
  { codes: [5200, 5200], code: 'CFSSL_POLICY_BROKEN' },
  { codes: [5300, 5300], message: /failed to connect to remote/, code: 'CFSSL_PROXY_SETUP' },
  { codes: [5300, 5300], code: 'CFSSL_POLICY_VIOLATION' },
  { codes: [5400, 5400], code: 'CFSSL_POLICY_BROKEN' },
  { codes: [5500, 5500], code: 'CFSSL_NAMES_NOT_ALLOWED' },
  { codes: [6000, 6000], code: 'CFSSL_PROXY_UPSTREAM' },
  { codes: [7100, 7100], code: 'CFSSL_PROXY_KEY' },
  { codes: [7200, 7200], code: 'CFSSL_PROXY_UPSTREAM', maybeProcessed: true },
  { codes: [7300, 7300], code: 'CFSSL_PROXY_UPSTREAM', maybeProcessed: true },
  { codes: [7400, 7500], message: /^404 page not found\s*$/, code: 'CFSSL_PROXY_SETUP' },
  { codes: [7400, 7500], message: 'profile must not be nil', code: 'CFSSL_PROXY_SETUP' },
  { codes: [7400, 7500], code: 'CFSSL_PROXY_UPSTREAM', maybeProcessed: true },
  { codes: [9000, 9999], code: 'CFSSL_CSR_REFUSED' },
  { codes: [10_000, 10_999], code: 'CFSSL_CT_LOG', maybeProcessed: true },
  { codes: [11_000, 11_999], code: 'CFSSL_DATABASE', maybeProcessed: true },

  // Errors without a code of their own.
  { codes: [0, 0], message: /^pre-issuance linting found \d+ error results$/, code: 'CFSSL_LINT' },
  { codes: [0, 0], code: 'CFSSL_SERVER_ERROR', maybeProcessed: true },
];

interface TextRow {
  readonly status: number;
  readonly text: string | RegExp;
  readonly code: CfsslErrorCode;
}

/** What Go's server, CFSSL's mutual TLS and nginx (`ngx_http_special_response.c`) write in place of an envelope. */
const TEXT_ROWS: readonly TextRow[] = [
  { status: 400, text: 'Client sent an HTTP request to an HTTPS server.', code: 'CFSSL_WRONG_SCHEME' },
  { status: 400, text: /<title>400 The plain HTTP request was sent to HTTPS port</, code: 'CFSSL_WRONG_SCHEME' },
  { status: 400, text: /<title>400 No required SSL certificate was sent</, code: 'CFSSL_TLS_TRUST' },
  { status: 400, text: /<title>400 The SSL certificate error</, code: 'CFSSL_TLS_TRUST' },
  { status: 403, text: 'Invalid CN', code: 'CFSSL_CLIENT_NAME_REFUSED' },
];

/** What is left, by status. */
const OTHER_ROWS: readonly StatusRow[] = [
  { statuses: [401, 401], code: 'CFSSL_PROXY_LOGIN' },
  { statuses: [403, 403], code: 'CFSSL_FORBIDDEN' },
  { statuses: [500, 599], code: 'CFSSL_SERVER_ERROR', maybeProcessed: true },
];

/** What an HTTP status means by itself, or undefined when the body decides. */
export function classifyStatus(status: number): Verdict | undefined {
  return toVerdict(STATUS_ROWS.find((row) => isWithin(status, row.statuses)));
}

/** What an error in CFSSL's envelope means, or undefined when it is in no row. */
export function classifyError({ code, message }: CfsslMessage): Verdict | undefined {
  return toVerdict(ERROR_ROWS.find((row) => isWithin(code, row.codes) && matches(message, row.message)));
}

/** What an answer without an envelope means; also the last resort for an envelope that is in no row. */
export function classifyText(status: number, text: string): Verdict | undefined {
  return toVerdict(
    TEXT_ROWS.find((row) => row.status === status && matches(text.trim(), row.text)) ??
      OTHER_ROWS.find((row) => isWithin(status, row.statuses)),
  );
}

/** The error inside an error: a proxying `cfssl serve` gives the far side's whole answer as the message. */
export function isForwarded({ code }: CfsslMessage): boolean {
  return code === 7400 || code === 7500;
}

function toVerdict(row: { code: CfsslErrorCode; maybeProcessed?: true } | undefined): Verdict | undefined {
  return row && { code: row.code, maybeProcessed: row.maybeProcessed ?? false };
}

function isWithin(value: number, [from, to]: readonly [number, number]): boolean {
  return value >= from && value <= to;
}

function matches(message: string, wanted: string | RegExp | undefined): boolean {
  if (wanted === undefined) return true;
  return typeof wanted === 'string' ? message === wanted : wanted.test(message);
}
