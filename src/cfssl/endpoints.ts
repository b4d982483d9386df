/** The list of CFSSL servers as an issuer names it: base URLs, separated by commas, in the order in which they are tried. */
import { CfsslError } from './errors.ts';

export interface Endpoint {
  /** Normalised base URL: lower-case scheme and host, no default port, no trailing slash. Names the endpoint everywhere. */
  readonly url: string;
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path prefix, "" or "/…" without a trailing slash. */
  readonly path: string;
}

/** Each of them is asked at every check, and stands in messages. */
const MAX_ENDPOINTS = 16;
const MAX_URL_LENGTH = 1_000;
/** A longer one is no DNS name (RFC 1035, 2.3.4). */
const MAX_HOST_LENGTH = 253;

/**
 * Blanks around a URL, empty entries, repetitions and trailing slashes are ignored; a bare host means http, as with the
 * Go client. User information, queries and fragments are refused: none has a meaning here, and each may hold a secret.
 *
 * @throws CfsslError `CFSSL_INVALID_URL`; the message shows the offending part, never what may be a password
 */
export function parseEndpoints(text: string): Endpoint[] {
  // Over the whole text: a password may hold commas, slashes and question marks, and must not be cut into entries and shown.
  if (text.includes('@')) throw invalidUrl(`there is user information before ${quote(text)}`);
  const endpoints = new Map<string, Endpoint>();
  for (const entry of text.split(',')) {
    const trimmed = entry.trim();
    if (trimmed === '') continue;
    const endpoint = parseEndpoint(trimmed);
    endpoints.set(endpoint.url, endpoint);
  }
  if (endpoints.size === 0) throw invalidUrl('there is none');
  if (endpoints.size > MAX_ENDPOINTS) throw invalidUrl(`there are ${endpoints.size}, more than ${MAX_ENDPOINTS}`);
  return [...endpoints.values()];
}

function parseEndpoint(text: string): Endpoint {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1];
  if (scheme !== undefined && !/^https?$/i.test(scheme)) {
    throw invalidUrl(`the scheme is ${quote(scheme)}, not http or https`);
  }
  // In the text, since the parsed URL forgets a query or fragment that is empty.
  const extra = /[?#]/.exec(text);
  if (extra !== null) {
    const kind = extra[0] === '?' ? 'query' : 'fragment';
    throw invalidUrl(`it has the ${kind} ${quote(text.slice(extra.index))}`);
  }
  const absolute = scheme === undefined ? `http://${text}` : text;
  // The platform's parser mends what it can: "https:/host", "https:///host", backslashes, blanks.
  const isMended = /[\s\\]/.test(text) || /^https?:(?!\/\/|\d)/i.test(text) || !/^https?:\/\/[^/]/i.test(absolute);
  if (isMended || !URL.canParse(absolute)) throw invalidUrl(`${quote(text)} is not a URL`);
  const { origin, pathname, hostname } = new URL(absolute);
  const path = pathname.replace(/\/+$/, '');
  if (hostname.length > MAX_HOST_LENGTH || origin.length + path.length > MAX_URL_LENGTH) {
    throw invalidUrl(`${quote(text)} is too long`);
  }
  return { url: `${origin}${path}`, origin, path };
}

/** What may be shown of a URL: nothing before an "@", no values of parameters. */
function quote(text: string): string {
  const shown = text.replace(/^.*@/s, '…@').replaceAll(/=[^&#]*/g, '=…');
  return JSON.stringify(shown.length <= 100 ? shown : `${shown.slice(0, 100).toWellFormed()}…`);
}

function invalidUrl(flaw: string): CfsslError {
  return new CfsslError('CFSSL_INVALID_URL', { action: 'Cannot use CFSSL URL', reason: flaw });
}
