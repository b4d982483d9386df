/** Subject alternative names (RFC 5280, 4.2.1.6). */
import { toHex, toLatin1 } from './bytes.ts';
import { contextTag, type DerElement, DerReader, TAG } from './der.ts';
import { printable } from './errors.ts';
import { formatName, parseName, stringOrHex } from './name.ts';

export interface SubjectAltName {
  /** `other` is every kind that CFSSL drops: otherName, directoryName, registeredID, x400Address, ediPartyName. */
  readonly kind: 'dns' | 'ip' | 'email' | 'uri' | 'other';
  /** As encoded; an IP address as text, `other` with its kind in front (`otherName:1.3.6.1.4.1.311.20.2.3=a@example`). */
  readonly value: string;
}

const PREFIXES = { dns: 'DNS:', ip: 'IP:', email: 'email:', uri: 'URI:', other: '' } as const;

/** A name for people: `DNS:a.example`, `IP:10.0.0.1`, `email:a@example`, `URI:spiffe://a/b`. */
export function describeName({ kind, value }: SubjectAltName): string {
  return `${PREFIXES[kind]}${printable(value, 253)}`;
}

/**
 * The same string for names that mean the same: DNS names and the schemes of URIs have no case (RFC 5280, 7.2 and 7.4;
 * Go writes schemes in lower case), everything else is compared exactly.
 */
export function nameKey({ kind, value }: SubjectAltName): string {
  if (kind === 'dns') return `DNS:${value.toLowerCase()}`;
  if (kind === 'uri') return `URI:${value.replace(/^[^:/?#]*:/, (scheme) => scheme.toLowerCase())}`;
  return `${PREFIXES[kind]}${value}`;
}

/** The names inside `reader`, which is the SEQUENCE of a subjectAltName; there must be one at least. */
export function parseGeneralNames(reader: DerReader): SubjectAltName[] {
  if (reader.isEmpty) throw reader.error('X509_CONTENT', 'the subjectAltName extension is empty');
  const names: SubjectAltName[] = [];
  while (!reader.isEmpty) names.push(parseGeneralName(reader, reader.readElement('a subjectAltName')));
  return names;
}

function parseGeneralName(reader: DerReader, element: DerElement): SubjectAltName {
  const { tag, content } = element;
  switch (tag) {
    case contextTag(0, 'constructed'):
      return { kind: 'other', value: `otherName:${parseOtherName(new DerReader(content, reader.object))}` };
    case contextTag(1, 'primitive'):
      return { kind: 'email', value: ascii(content, 'an e-mail address', /^[\x20-\x7e]+$/, reader) };
    case contextTag(2, 'primitive'):
      return { kind: 'dns', value: ascii(content, 'a DNS name', /^[\x21-\x7e]+$/, reader) };
    case contextTag(3, 'constructed'):
      return { kind: 'other', value: `x400Address:${toHex(content)}` };
    case contextTag(4, 'constructed'):
      return { kind: 'other', value: `directoryName:${parseDirectoryName(new DerReader(content, reader.object))}` };
    case contextTag(5, 'constructed'):
      return { kind: 'other', value: `ediPartyName:${toHex(content)}` };
    case contextTag(6, 'primitive'):
      return { kind: 'uri', value: ascii(content, 'a URI', /^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/, reader) };
    case contextTag(7, 'primitive'):
      return { kind: 'ip', value: parseIpAddress(content, reader) };
    case contextTag(8, 'primitive'):
      return { kind: 'other', value: `registeredID:${reader.decodeOid(content, 'a registeredID')}` };
    default:
      throw reader.error('X509_CONTENT', `a subjectAltName has tag 0x${tag.toString(16)}`);
  }
}

/**
 * Go takes any ASCII; NUL and other controls are refused here, spaces where they can only deceive, and characters that
 * RFC 3986 has not, which Go would escape in the certificate.
 */
function ascii(content: Uint8Array, what: string, allowed: RegExp, reader: DerReader): string {
  const text = toLatin1(content);
  if (!allowed.test(text))
    throw reader.error('X509_CONTENT', `${what} is empty or has characters that it may not have: "${printable(text)}"`);
  return text;
}

function parseOtherName(reader: DerReader): string {
  const type = reader.readOid('an otherName type');
  const explicit = reader.enter(contextTag(0, 'constructed'), 'an otherName value');
  reader.end('an otherName');
  const value = explicit.readElement('an otherName value');
  explicit.end('an otherName value');
  return `${type}=${stringOrHex(explicit, value)}`;
}

function parseDirectoryName(reader: DerReader): string {
  const name = formatName(parseName(reader.enter(TAG.sequence, 'a directoryName')));
  reader.end('a directoryName');
  return name;
}

function parseIpAddress(content: Uint8Array, reader: DerReader): string {
  if (content.length === 4) return content.join('.');
  if (content.length !== 16) throw reader.error('X509_CONTENT', `an IP address has ${content.length} bytes`);
  // Go writes an IPv4-mapped address as IPv4 (net.IP.To4): the same address, so the same text
  if (content.subarray(0, 10).every((byte) => byte === 0) && content[10] === 0xff && content[11] === 0xff) {
    return content.subarray(12).join('.');
  }
  const groups = Array.from({ length: 8 }, (_, index) => toHex(content.subarray(2 * index, 2 * index + 2)));
  // WHATWG's URL writes IPv6 in the canonical form of RFC 5952
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
