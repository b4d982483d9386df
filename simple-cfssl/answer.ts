/** Answers in CFSSL's envelope, with the headers that Go sends along (cloudflare/cfssl v1.7.1, api/api.go). */
import type { Envelope } from '../src/cfssl/index.ts';
import { encodeJson } from './go/json.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export const PLAIN_TEXT = 'text/plain; charset=utf-8';
/** What Go's `http.Error` adds. */
const HTTP_ERROR_HEADERS = { 'content-type': PLAIN_TEXT, 'x-content-type-options': 'nosniff' };

export function succeed(result: object, contentType: string): Answer {
  const envelope: Envelope<object> = { success: true, result, errors: [], messages: [] };
  return { status: 200, headers: { 'content-type': contentType }, body: encodeJson(envelope) };
}

/** An error as multirootca writes it itself; its content type is what Go makes of the body. */
export function fail(status: number, code: number, message: string): Answer {
  const envelope: Envelope<never> = { success: false, result: null, errors: [{ code, message }], messages: [] };
  return { status, headers: { 'content-type': PLAIN_TEXT }, body: encodeJson(envelope) };
}

/** An error of CFSSL's `api` package. */
export function failHttp(status: number, message: string): Answer {
  return { ...fail(status, status, message), headers: HTTP_ERROR_HEADERS };
}

export const NOT_FOUND: Answer = { status: 404, headers: HTTP_ERROR_HEADERS, body: '404 page not found\n' };

/** To the clean form of a path. Go 1.26 and later say 307, so that a POST stays one; before, it was 301. */
export function redirect(method: string, location: string): Answer {
  if (method !== 'GET' && method !== 'HEAD') return { status: 307, headers: { location }, body: '' };
  const href = location
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&#34;');
  const headers = { location, 'content-type': 'text/html; charset=utf-8' };
  return { status: 307, headers, body: `<a href="${href}">Temporary Redirect</a>.\n\n` };
}
