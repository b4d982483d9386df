/**
 * Judges what a server answered: pure functions from (status, headers, body) to a result, or a `CfsslError` that says what
 * is wrong. The Content-Type is not looked at, since CFSSL labels its JSON as plain text.
 */
import { X509Certificate } from 'node:crypto';

import { classifyError, classifyStatus, classifyText, isForwarded, type Verdict } from './classification.ts';
import { CFSSL_ERRORS, CfsslError, isCfsslError, printable, quoted } from './errors.ts';
import type { Call } from './requests.ts';
import type { CfsslMessage } from './wire.ts';

/** As undici gives them: lower-case names. */
export type AnswerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface SignResult {
  /** As the server gave it, with a final newline; it parses. */
  readonly certificatePem: string;
  /** Leaf, then issuers; absent when the server made none, asked or not. */
  readonly bundlePem?: string;
  /** The trust anchor of the bundle, by the server's word. */
  readonly rootPem?: string;
  /** Warnings, printable. */
  readonly messages: readonly CfsslMessage[];
}

export interface InfoResult {
  /** The signer's own certificate, with a final newline; it parses. */
  readonly certificatePem: string;
  /** The profile's usages; those of the default profile when the server does not know the profile. */
  readonly usages: readonly string[];
  /** The profile's expiry as a Go duration, "" possible. */
  readonly expiry: string;
}

export interface ValidityResult {
  /** Whether the server obeys the validity that a sign request asks for. */
  readonly obeys: boolean;
}

export interface ProbeResult {
  /** Which of CFSSL's servers answered, told by its words. */
  readonly server: 'multirootca' | 'serve';
}

interface Answer {
  readonly call: Call;
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: string;
}

/** Judges the answer to `authsign`. @throws CfsslError */
export function parseSignAnswer(status: number, headers: AnswerHeaders, body: string): SignResult {
  const answer: Answer = { call: 'sign', status, headers, body };
  const { result, messages } = parseSuccess(answer);
  const certificatePem = parseCertificate(answer, result['certificate']);
  const bundle = isObject(result['bundle']) ? result['bundle'] : {};
  const bundlePem = optionalPem(bundle['bundle']);
  const rootPem = optionalPem(bundle['root']);
  return {
    certificatePem,
    ...(bundlePem === undefined ? {} : { bundlePem }),
    ...(rootPem === undefined ? {} : { rootPem }),
    messages: messages.map(({ code, message }) => ({ code, message: printable(message) })),
  };
}

/** Judges the answer to `info`. @throws CfsslError */
export function parseInfoAnswer(status: number, headers: AnswerHeaders, body: string): InfoResult {
  const answer: Answer = { call: 'info', status, headers, body };
  const { certificate, usages, expiry } = parseSuccess(answer).result;
  return {
    certificatePem: parseCertificate(answer, certificate),
    usages: Array.isArray(usages) ? usages.filter((usage) => typeof usage === 'string') : [],
    expiry: typeof expiry === 'string' ? expiry : '',
  };
}

/**
 * Judges the answer to the empty sign request. The complaint about the empty CSR is the good answer: label, profile and
 * token were checked before. multirootca's "bad request" means the label here, as all else that it can mean needs a CSR.
 *
 * @throws CfsslError
 */
export function parseProbeAnswer(status: number, headers: AnswerHeaders, body: string): ProbeResult {
  const answer: Answer = { call: 'probe', status, headers, body };
  try {
    parseSuccess(answer);
  } catch (error) {
    if (!isCfsslError(error, 'CFSSL_EMPTY_CSR')) throw error;
    return { server: error.details.cfsslCode === 1 ? 'multirootca' : 'serve' };
  }
  throw invalidAnswer(answer, 'success without a CSR');
}

/**
 * Judges the answer to the probe with an end that is no time: only a server that reads the field complains of it, before
 * it looks at anything else.
 *
 * @throws CfsslError
 */
export function parseValidityAnswer(status: number, headers: AnswerHeaders, body: string): ValidityResult {
  try {
    parseProbeAnswer(status, headers, body);
    return { obeys: false };
  } catch (error) {
    if (isCfsslError(error, 'CFSSL_UNREADABLE_REQUEST')) return { obeys: true };
    throw error;
  }
}

interface Success {
  readonly result: Readonly<Record<string, unknown>>;
  readonly messages: readonly CfsslMessage[];
}

/** @throws CfsslError for everything that is not the envelope of a success */
function parseSuccess(answer: Answer): Success {
  const envelope = parseEnvelope(answer.body);
  if (answer.status >= 300) throw judgeFailure(answer, envelope?.errors[0]);
  if (answer.status !== 200) throw invalidAnswer(answer, 'a success other than 200');
  if (envelope === undefined) throw invalidAnswer(answer, `${quoted(answer.body)} in place of CFSSL's JSON`);
  if (!envelope.success) throw invalidAnswer(answer, `"success" is false`, envelope.errors[0]);
  if (envelope.result === undefined) throw invalidAnswer(answer, 'no result');
  return { result: envelope.result, messages: envelope.messages };
}

interface ParsedEnvelope {
  readonly success: boolean;
  readonly result: Readonly<Record<string, unknown>> | undefined;
  readonly errors: readonly CfsslMessage[];
  readonly messages: readonly CfsslMessage[];
}

/** Undefined when the text is no JSON object with a `success`: then no handler of CFSSL wrote it. */
function parseEnvelope(text: string): ParsedEnvelope | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // judged by status and text
  }
  if (!isObject(value) || typeof value['success'] !== 'boolean') return undefined;
  return {
    success: value['success'],
    result: isObject(value['result']) ? value['result'] : undefined,
    errors: parseMessages(value['errors']),
    messages: parseMessages(value['messages']),
  };
}

function parseMessages(value: unknown): CfsslMessage[] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (entry): entry is CfsslMessage =>
      isObject(entry) && typeof entry['code'] === 'number' && typeof entry['message'] === 'string',
  );
}

/** From the most certain evidence to the least. `error` is the envelope's, if CFSSL wrote one. */
function judgeFailure(answer: Answer, error: CfsslMessage | undefined): CfsslError {
  const { status, body } = answer;
  const inner = error && unwrap(error);
  const verdict =
    classifyStatus(status) ??
    (error && inner && judgeError(error, inner)) ??
    classifyText(status, body) ??
    // CFSSL may have failed after signing; what is not CFSSL and refuses, did not pass the request on.
    ({ code: 'CFSSL_UNKNOWN_REFUSAL', maybeProcessed: error !== undefined } as const);
  const isLabel = answer.call === 'probe' && verdict.code === 'CFSSL_BAD_REQUEST';
  const meant: Verdict = isLabel ? { ...verdict, code: 'CFSSL_UNKNOWN_LABEL' } : verdict;
  return answerError(answer, meant, inner, inner === undefined && body.trim() !== '' ? quoted(body) : undefined);
}

/** A token that a proxy's own server refuses is the proxy's, not ours. */
function judgeError(error: CfsslMessage, inner: CfsslMessage): Verdict | undefined {
  const verdict = classifyError(inner) ?? classifyError(error);
  if (inner !== error && verdict?.code === 'CFSSL_INVALID_TOKEN') return { ...verdict, code: 'CFSSL_PROXY_KEY' };
  return verdict;
}

/** The innermost error of answers forwarded by proxies. Each level doubles the escapes, so the size bounds the depth. */
function unwrap(error: CfsslMessage): CfsslMessage {
  const inner = isForwarded(error) ? parseEnvelope(error.message)?.errors[0] : undefined;
  return inner === undefined ? error : unwrap(inner);
}

/** A success that is no good: whoever sent it may have issued a certificate. */
function invalidAnswer(answer: Answer, flaw: string, error?: CfsslMessage): CfsslError {
  return answerError(answer, { code: 'CFSSL_INVALID_ANSWER', maybeProcessed: true }, error, flaw);
}

/** "the key or the additional data is wrong (HTTP 400, code 1, "invalid token")" */
function answerError(
  { call, status, headers }: Answer,
  { code, maybeProcessed }: Verdict,
  error: CfsslMessage | undefined,
  remark: string | undefined,
): CfsslError {
  const evidence = [`HTTP ${status}`];
  if (error !== undefined) evidence.push(`code ${error.code}`, quoted(error.message));
  if (remark !== undefined) evidence.push(remark);
  const retryAfterMs = parseRetryAfter(headers['retry-after']);
  return new CfsslError(code, {
    action: "Cannot use CFSSL's answer",
    reason: `${CFSSL_ERRORS[code]} (${evidence.join(', ')})`,
    details: {
      httpStatus: status,
      ...(error === undefined ? {} : { cfsslCode: error.code, cfsslMessage: printable(error.message) }),
      maybeProcessed: call === 'sign' && maybeProcessed,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  });
}

/** The form in seconds only: the other one, a date, would need both clocks to agree. */
function parseRetryAfter(value: string | readonly string[] | undefined): number | undefined {
  return typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) * 1000 : undefined;
}

function parseCertificate(answer: Answer, value: unknown): string {
  if (typeof value !== 'string') throw invalidAnswer(answer, 'no certificate');
  try {
    void new X509Certificate(value);
  } catch {
    throw invalidAnswer(answer, 'a certificate that cannot be read');
  }
  return endWithNewline(value);
}

function optionalPem(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? endWithNewline(value) : undefined;
}

function endWithNewline(pem: string): string {
  return `${pem.trim()}\n`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
