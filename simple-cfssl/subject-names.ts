/** Subject alternative names of a certificate, by kind, and where CFSSL takes them from (signer/local/local.go). */
import { isIP } from 'node:net';
import type { SubjectAltName } from '../src/x509/index.ts';
import type { CsrWhitelist } from './profile.ts';
import { SigningError } from './signing-error.ts';
import { type JsonGeneralName, SubjectAlternativeNameExtension } from './x509-library.ts';

export interface SubjectNames {
  readonly dns: readonly string[];
  readonly email: readonly string[];
  readonly ip: readonly string[];
  readonly uri: readonly string[];
}

/** The names of the CSR that the profile lets through. All other kinds are dropped. */
export function namesOfCsr(names: readonly SubjectAltName[], whitelist: CsrWhitelist | undefined): SubjectNames {
  const pick = (kind: SubjectAltName['kind'], isHeeded = true): string[] =>
    isHeeded ? names.filter((name) => name.kind === kind).map(({ value }) => value) : [];
  return {
    dns: pick('dns', whitelist?.DNSNames),
    email: pick('email', whitelist?.EmailAddresses),
    ip: pick('ip', whitelist?.IPAddresses),
    // Go keeps a URI parsed, and its scheme in lower case
    uri: pick('uri', whitelist?.URIs).map((uri) => uri.replace(/^[^:/?#]*:/, (scheme) => scheme.toLowerCase())),
  };
}

/** Sorts the `hosts` of a request: each is an address, else an e-mail address, else a URI, else a DNS name. */
export function namesOfHosts(hosts: readonly string[]): SubjectNames {
  const names = { dns: [] as string[], email: [] as string[], ip: [] as string[], uri: [] as string[] };
  for (const host of hosts) {
    const email = parseEmail(host);
    if (isIP(host) !== 0 && !host.includes('%')) names.ip.push(host.replace(/^::ffff:(?=\d+\.)/i, ''));
    else if (email !== undefined) names.email.push(email);
    else if (isUri(host)) names.uri.push(host);
    else names.dns.push(host);
  }
  return names;
}

/** The address in `a@b` or `Name <a@b>` (the common forms of Go's `mail.ParseAddress`). */
function parseEmail(text: string): string | undefined {
  return /^\s*(?:[^<>@]*<([^\s<>@,;:"]+@[^\s<>@,;:"]+)>|([^\s<>@,;:"]+@[^\s<>@,;:"]+))\s*$/
    .exec(text)
    ?.slice(1)
    .find(Boolean);
}

/** What Go's `url.ParseRequestURI` takes: an absolute path, or a scheme with anything or a good authority behind it. */
function isUri(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- these are what Go refuses
  if (/[\x00-\x1f\x7f]/.test(text)) return false;
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*:)?(.*)$/i.exec(text) ?? [];
  if (scheme !== '' && !rest.startsWith('/')) return true;
  if (/%(?![0-9a-f]{2})/i.test(rest)) return false;
  return rest.startsWith('//')
    ? /^\/\/[^\s/?#<>"{}|\\^`]*(?:[/?#]|$)/.test(rest)
    : rest.startsWith('/') || text === '*';
}

/** @throws SigningError when a name is not ASCII */
export function encodeNames({ dns, email, ip, uri }: SubjectNames, critical: boolean): SubjectAlternativeNameExtension {
  const kinds = [
    ['dns', dns],
    ['email', email],
    ['ip', ip],
    ['url', uri],
  ] as const;
  const names = kinds.flatMap(([type, values]) => values.map((value): JsonGeneralName => ({ type, value })));
  const foreign = names.find(({ value }) => !isAscii(value));
  if (foreign !== undefined) throw new SigningError(`"${foreign.value}" cannot be encoded as an IA5String`);
  return new SubjectAlternativeNameExtension(names, critical);
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
