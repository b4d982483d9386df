/** Signature algorithms (RFC 4055, RFC 5758, RFC 8410) and their verification by node:crypto. */
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { toBuffer } from './bytes.ts';
import { contextTag, type DerReader, TAG } from './der.ts';
import { X509Error, type X509Object } from './errors.ts';
import { describePublicKey, type PublicKey } from './public-key.ts';

export interface SignatureAlgorithm {
  /** Go's name ("ECDSA-SHA256"), or the OID of one that we do not verify. */
  readonly name: string;
  readonly scheme: 'rsa' | 'rsa-pss' | 'ecdsa' | 'ed25519' | 'unknown';
  /** Name in node:crypto; Ed25519 has none. */
  readonly hash?: string;
  /** Of `rsa-pss`, in bytes. */
  readonly saltLength?: number;
}

const ALGORITHMS: Readonly<Record<string, SignatureAlgorithm>> = {
  '1.2.840.113549.1.1.5': { name: 'SHA1-RSA', scheme: 'rsa', hash: 'sha1' },
  '1.2.840.113549.1.1.11': { name: 'SHA256-RSA', scheme: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { name: 'SHA384-RSA', scheme: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { name: 'SHA512-RSA', scheme: 'rsa', hash: 'sha512' },
  '1.2.840.10045.4.1': { name: 'ECDSA-SHA1', scheme: 'ecdsa', hash: 'sha1' },
  '1.2.840.10045.4.3.2': { name: 'ECDSA-SHA256', scheme: 'ecdsa', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { name: 'ECDSA-SHA384', scheme: 'ecdsa', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { name: 'ECDSA-SHA512', scheme: 'ecdsa', hash: 'sha512' },
  '1.3.101.112': { name: 'Ed25519', scheme: 'ed25519' },
};

const RSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';
const HASHES: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** What a key of each type signs with. */
const SCHEMES: Readonly<Record<PublicKey['type'], readonly SignatureAlgorithm['scheme'][]>> = {
  rsa: ['rsa', 'rsa-pss'],
  'rsa-pss': ['rsa-pss'],
  ec: ['ecdsa'],
  ed25519: ['ed25519'],
  other: [],
};

const VERIFIED_CURVES: readonly string[] = ['P-256', 'P-384', 'P-521'];
const MIN_RSA_BITS = 1024;
const MAX_RSA_BITS = 16_384;

/** The AlgorithmIdentifier inside `reader`. An unknown one is read as such; it is verifying that refuses it. */
export function parseSignatureAlgorithm(reader: DerReader): SignatureAlgorithm {
  const oid = reader.readOid('the signature algorithm');
  if (oid === RSA_PSS) {
    const parameters = reader.enter(TAG.sequence, 'the RSA-PSS parameters');
    reader.end('the signature algorithm');
    return parsePss(parameters);
  }
  const known = ALGORITHMS[oid];
  if (known === undefined) return { name: oid, scheme: 'unknown' };
  if (known.scheme === 'rsa') reader.readOptional(TAG.null, 'the signature parameters');
  reader.end('the signature algorithm');
  return known;
}

/** RSASSA-PSS-params (RFC 4055, 3.1): four optional fields, whose defaults mean SHA-1 and 20 bytes. */
function parsePss(reader: DerReader): SignatureAlgorithm {
  const field = (number: number) => reader.enterOptional(contextTag(number, 'constructed'), 'an RSA-PSS parameter');
  const hash = parseHash(field(0));
  const maskHash = parseMask(field(1));
  const saltLength = parseNumber(field(2)) ?? 20;
  const trailer = parseNumber(field(3)) ?? 1;
  reader.end('the RSA-PSS parameters');
  if (hash === undefined || maskHash !== hash || trailer !== 1) return { name: RSA_PSS, scheme: 'unknown' };
  return { name: `${hash.toUpperCase()}-RSAPSS`, scheme: 'rsa-pss', hash, saltLength };
}

/** The hash in the AlgorithmIdentifier that is all of `reader`; undefined for one that we do not know. */
function parseHash(reader: DerReader | undefined): string | undefined {
  if (reader === undefined) return 'sha1';
  const identifier = reader.enter(TAG.sequence, 'an RSA-PSS hash');
  reader.end('an RSA-PSS hash');
  const hash = HASHES[identifier.readOid('an RSA-PSS hash')];
  identifier.readOptional(TAG.null, 'the parameters of an RSA-PSS hash');
  identifier.end('an RSA-PSS hash');
  return hash;
}

/** The hash of the mask generation; undefined for another function than MGF1. */
function parseMask(reader: DerReader | undefined): string | undefined {
  if (reader === undefined) return 'sha1';
  const mask = reader.enter(TAG.sequence, 'the RSA-PSS mask');
  reader.end('the RSA-PSS mask');
  return mask.readOid('the RSA-PSS mask') === MGF1 ? parseHash(mask) : undefined;
}

function parseNumber(reader: DerReader | undefined): number | undefined {
  const number = reader?.readSmallInteger('an RSA-PSS number');
  reader?.end('an RSA-PSS number');
  return number;
}

export interface SignedBytes {
  readonly object: X509Object;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  readonly algorithm: SignatureAlgorithm;
  readonly publicKey: PublicKey;
  readonly spkiDer: Uint8Array;
}

/** @throws X509Error X509_UNSUPPORTED, X509_CONTENT for an impossible key, or X509_SIGNATURE. */
export function verifySignature({ object, signed, signature, algorithm, publicKey, spkiDer }: SignedBytes): void {
  assertSupported(publicKey, algorithm, object);
  if (!SCHEMES[publicKey.type].includes(algorithm.scheme)) {
    const pair = `${algorithm.name} does not fit the key ${describePublicKey(publicKey)}`;
    throw new X509Error('X509_SIGNATURE', object, `Cannot verify ${object}: signature algorithm ${pair}`);
  }
  const key = importKey(spkiDer, object);
  if (!isValid(algorithm, signed, key, signature)) {
    throw new X509Error('X509_SIGNATURE', object, `Cannot verify ${object}: the signature is not that of its key`);
  }
}

function assertSupported(key: PublicKey, algorithm: SignatureAlgorithm, object: X509Object): void {
  const fail = (what: string) =>
    new X509Error('X509_UNSUPPORTED', object, `Cannot verify ${object}: ${what} not supported`);
  if (!isSupportedKey(key)) throw fail(`keys ${describePublicKey(key)} are`);
  if (algorithm.scheme === 'unknown') throw fail(`signature algorithm ${algorithm.name} is`);
}

function isSupportedKey({ type, bits = 0, curve = '' }: PublicKey): boolean {
  if (type === 'rsa' || type === 'rsa-pss') return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS;
  return type === 'ed25519' || VERIFIED_CURVES.includes(curve);
}

function importKey(spkiDer: Uint8Array, object: X509Object): KeyObject {
  try {
    return createPublicKey({ key: toBuffer(spkiDer), format: 'der', type: 'spki' });
  } catch (cause) {
    // OpenSSL checks what DER cannot say: that the point is on its curve
    throw new X509Error('X509_CONTENT', object, `Cannot verify ${object}: its public key is not valid`, { cause });
  }
}

function isValid(algorithm: SignatureAlgorithm, signed: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  const { scheme, hash, saltLength } = algorithm;
  const options = scheme === 'rsa-pss' ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength } : { key };
  try {
    return verify(hash, signed, options, signature);
  } catch {
    // OpenSSL refuses what an RSA-PSS key itself forbids, another hash for one: not its signature
    return false;
  }
}
