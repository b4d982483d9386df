/** Builders for tests: DER by hand, and requests and certificates that begin bare and can be wrong in any way. */
import { generateKeyPairSync, type KeyPairKeyObjectResult as KeyPair, sign } from 'node:crypto';
import { type Certificate, parseCertificateDer } from '../certificate.ts';
import { DerReader } from '../der.ts';

/** One element; the length is minimal. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents);
  return Buffer.concat([header(tag, content.length), content]);
}

/** Tag and length of an element. */
export function header(tag: number, length: number): Uint8Array {
  if (length < 0x80) return Buffer.of(tag, length);
  const hex = length.toString(16);
  const digits = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.of(tag, 0x80 | digits.length), digits]);
}

/** The same element with a NULL at the end of itself, and of each constructed element inside of it, in turn. */
export function withOneMore(bytes: Uint8Array): Uint8Array[] {
  const { tag, content } = new DerReader(bytes, 'CSR').readElement('an element');
  if ((tag & 0x20) === 0) return [];
  const reader = new DerReader(content, 'CSR');
  const children: Uint8Array[] = [];
  while (!reader.isEmpty) children.push(reader.readElement('an element').encoded);
  const inside = children.flatMap((child, index) =>
    withOneMore(child).map((changed) => der(tag, ...children.with(index, changed))),
  );
  return [der(tag, content, Buffer.of(5, 0)), ...inside];
}

export const seq = (...contents: readonly Uint8Array[]): Uint8Array => der(0x30, ...contents);
export const set = (...contents: readonly Uint8Array[]): Uint8Array => der(0x31, ...contents);
export const int = (value: number): Uint8Array => der(0x02, Buffer.of(value));
export const octets = (value: Uint8Array): Uint8Array => der(0x04, value);
export const bits = (value: Uint8Array, unused = 0): Uint8Array => der(0x03, Buffer.of(unused), value);
export const text = (value: string, tag = 0x0c): Uint8Array => der(tag, Buffer.from(value));
export const yes: Uint8Array = der(0x01, Buffer.of(0xff));

export function oid(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(0x06, Buffer.from(bytes));
}

export const cn = (value: string): Uint8Array => attribute('2.5.4.3', text(value));
export const attribute = (type: string, value: Uint8Array): Uint8Array => set(seq(oid(type), value));
export const dns = (value: string): Uint8Array => text(value, 0x82);

export function extension(type: string, value: Uint8Array, critical = false): Uint8Array {
  return seq(oid(type), ...(critical ? [yes] : []), octets(value));
}
export const san = (...names: readonly Uint8Array[]): Uint8Array => extension('2.5.29.17', seq(...names));
export const basicConstraintsCa: Uint8Array = extension('2.5.29.19', seq(yes), true);
/** The KeyUsage with these bits of its first byte. */
export const keyUsage = (byte: number): Uint8Array =>
  extension('2.5.29.15', bits(Buffer.of(byte), trailingZeros(byte)));
const trailingZeros = (byte: number): number => (byte === 0 ? 0 : 31 - Math.clz32(byte & -byte));
export const extendedKeyUsage = (...types: readonly string[]): Uint8Array =>
  extension('2.5.29.37', seq(...types.map(oid)));

export const extensionRequest = (...extensions: readonly Uint8Array[]): Uint8Array =>
  seq(oid('1.2.840.113549.1.9.14'), set(seq(...extensions)));

/** A key pair by name: `P-256`, `secp256k1`, `RSA-2048`, `RSA-PSS-2048`, `Ed25519`. */
export function newKey(kind = 'P-256'): KeyPair {
  const rsa = /^RSA-(PSS-)?(\d+)$/.exec(kind);
  if (rsa?.[1] !== undefined) return generateKeyPairSync('rsa-pss', { modulusLength: Number(rsa[2]) });
  if (rsa !== null) return generateKeyPairSync('rsa', { modulusLength: Number(rsa[2]) });
  if (kind === 'Ed25519') return generateKeyPairSync('ed25519');
  if (kind === 'Ed448') return generateKeyPairSync('ed448');
  return generateKeyPairSync('ec', { namedCurve: kind });
}

export const spki = (key: KeyPair): Uint8Array => key.publicKey.export({ format: 'der', type: 'spki' });

const ECDSA_SHA256 = seq(oid('1.2.840.10045.4.3.2'));

export interface CsrParts {
  readonly key: KeyPair;
  readonly version?: Uint8Array;
  readonly subject?: Uint8Array;
  readonly spki?: Uint8Array;
  /** Of the one extensionRequest; left out without it. */
  readonly extensions?: readonly Uint8Array[];
  /** All attributes, instead of `extensions`. */
  readonly attributes?: readonly Uint8Array[];
  /** After the attributes, where nothing may be. */
  readonly extraField?: Uint8Array;
  readonly algorithm?: Uint8Array;
  readonly hash?: string | null;
  readonly signature?: Uint8Array;
}

/** A CSR with a valid signature; with nothing but a key it has an empty subject and empty attributes. */
export function csrDer(parts: CsrParts): Uint8Array {
  const attributes = parts.attributes ?? (parts.extensions ? [extensionRequest(...parts.extensions)] : []);
  const info = seq(
    parts.version ?? int(0),
    parts.subject ?? seq(),
    parts.spki ?? spki(parts.key),
    der(0xa0, ...attributes),
    parts.extraField ?? Buffer.of(),
  );
  return signed(info, parts.key, parts);
}

/** The SEQUENCE of `info`, its algorithm and its signature by `key`. */
export function signed(info: Uint8Array, key: KeyPair, parts: Omit<CsrParts, 'key'> = {}): Uint8Array {
  const hash = parts.hash === undefined ? 'sha256' : parts.hash;
  const signature = parts.signature ?? bits(sign(hash, info, key.privateKey));
  return seq(info, parts.algorithm ?? ECDSA_SHA256, signature);
}

export interface CertificateParts {
  /** Its own key; the CSR's when it answers one. */
  readonly key: KeyPair;
  readonly issuer?: { readonly key: KeyPair; readonly subject: Uint8Array };
  readonly subject?: Uint8Array;
  readonly extensions?: readonly Uint8Array[];
  /** GeneralizedTime: `20261124120000Z`. */
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly version?: number;
  readonly serial?: Uint8Array;
  readonly uniqueIds?: Uint8Array;
  /** Instead of the same as outside. */
  readonly innerAlgorithm?: Uint8Array;
}

/** 2026-11-24T12:00:00Z. */
export const NOW_MS = 1_795_521_600_000;

/** A certificate, self-issued unless there is an issuer, valid from an hour before NOW_MS to an hour after it. */
export function certificateDer(parts: CertificateParts): Uint8Array {
  const subject = parts.subject ?? seq();
  const issuer = parts.issuer ?? { key: parts.key, subject };
  const version = parts.version ?? 3;
  const validity = seq(time(parts.notBefore ?? '20261124110000Z'), time(parts.notAfter ?? '20261124130000Z'));
  const info = seq(
    version === 1 ? Buffer.of() : der(0xa0, int(version - 1)),
    parts.serial ?? int(1),
    parts.innerAlgorithm ?? ECDSA_SHA256,
    issuer.subject,
    validity,
    subject,
    spki(parts.key),
    parts.uniqueIds ?? Buffer.of(),
    parts.extensions && parts.extensions.length > 0 ? der(0xa3, seq(...parts.extensions)) : Buffer.of(),
  );
  return signed(info, issuer.key);
}

export const certificate = (parts: CertificateParts): Certificate => parseCertificateDer(certificateDer(parts));

const time = (value: string): Uint8Array => text(value, 0x18);

/** A CA of its own key, self-signed unless there is an issuer, and what `issuer` of what it issues must be. */
export interface Authority {
  readonly key: KeyPair;
  readonly subject: Uint8Array;
  readonly certificate: Certificate;
}

export function authority(name: string, parts: Partial<CertificateParts> = {}): Authority {
  const key = parts.key ?? newKey();
  const subject = seq(cn(name));
  const extensions = [basicConstraintsCa];
  return { key, subject, certificate: certificate({ subject, extensions, ...parts, key }) };
}
