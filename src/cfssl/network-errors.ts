/**
 * What it means that an exchange ended without an answer, by the codes of Node, OpenSSL and undici. Before the first byte
 * of the request was written nothing can have been processed; afterwards everything can, but for one case: a server that
 * refuses our client certificate says so before it reads a request, even where TLS 1.3 lets us write it first.
 */
import { TimeoutError } from '../platform/index.ts';

import type { Verdict } from './classification.ts';
import { CFSSL_ERRORS, CfsslError, printable } from './errors.ts';

/** The answer was longer than this client reads. */
export class AnswerTooLongError extends Error {
  override readonly name = 'AnswerTooLongError';

  constructor(limitBytes: number) {
    super(`more than ${limitBytes} bytes`);
  }
}

/** TLS towards a server that does not speak it. */
const PLAIN_TEXT = /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)$/;

/** Alerts about the client's certificate. */
const CLIENT_CERTIFICATE_ALERT =
  /_ALERT_(?:BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_[A-Z]+|UNKNOWN_CA|ACCESS_DENIED)$/;

/** OpenSSL's errors, Node's own about TLS, and the results of verifying a chain. */
const TLS =
  /^(?:ERR_SSL_|ERR_TLS_|CERT_|CRL_|ERROR_IN_C|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|PATH_LENGTH_EXCEEDED$|INVALID_(?:CA|PURPOSE)$)/;

/** A peer that does not speak HTTP as undici understands it. */
const NOT_HTTP = /^(?:HPE_|UND_ERR_HEADERS_OVERFLOW$)/;

export interface ExchangeState {
  /** Whether any byte of the request may have left. */
  readonly wasWritten: boolean;
  /** Whether the caller gave up. */
  readonly isAborted: boolean;
}

export function classifyNetworkError(error: Error, { wasWritten, isAborted }: ExchangeState): Verdict {
  if (isAborted) return { code: 'CFSSL_ABORTED', maybeProcessed: wasWritten };
  const code = codeOf(error);
  if (!wasWritten) {
    if (PLAIN_TEXT.test(code)) return { code: 'CFSSL_WRONG_SCHEME', maybeProcessed: false };
    return { code: TLS.test(code) ? 'CFSSL_TLS_TRUST' : 'CFSSL_UNREACHABLE', maybeProcessed: false };
  }
  if (CLIENT_CERTIFICATE_ALERT.test(code)) return { code: 'CFSSL_TLS_TRUST', maybeProcessed: false };
  if (error instanceof TimeoutError) return { code: 'CFSSL_TIMEOUT', maybeProcessed: true };
  if (error instanceof AnswerTooLongError || error.name === 'HTTPParserError' || NOT_HTTP.test(code)) {
    return { code: 'CFSSL_INVALID_ANSWER', maybeProcessed: true };
  }
  return { code: 'CFSSL_CONNECTION_LOST', maybeProcessed: true };
}

/** The error of an exchange without an answer. */
export function networkError(cause: Error, verdict: Verdict): CfsslError {
  return new CfsslError(verdict.code, {
    action: 'Cannot reach CFSSL',
    reason: `${CFSSL_ERRORS[verdict.code]} (${verdict.code === 'CFSSL_ABORTED' ? printable(cause.message) : describe(cause)})`,
    details: { maybeProcessed: verdict.maybeProcessed },
    cause,
  });
}

/**
 * What was seen, without what changes from time to time: Node's messages hold ports, OpenSSL's a thread's number. Only
 * those about the verification of a certificate tell more than their code.
 */
function describe(error: Error): string {
  const code = codeOf(error);
  if (error instanceof TimeoutError) return `${error.timeoutMs} ms`;
  if (error instanceof AnswerTooLongError) return error.message;
  if ('reason' in error && typeof error.reason === 'string') return printable(error.reason);
  if (TLS.test(code)) return printable(error.message.split(';', 1)[0] ?? '');
  return code === '' ? error.name : code;
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}
