/** SubjectPublicKeyInfo (RFC 5280, 4.1; RFC 3279, 2.3; RFC 5480; RFC 8410): which key it is, as far as policy asks. */
import { type DerReader, openSequence, TAG } from './der.ts';

export interface PublicKey {
  readonly type: 'rsa' | 'rsa-pss' | 'ec' | 'ed25519' | 'other';
  /** OID of the key's algorithm. */
  readonly algorithm: string;
  /** Modulus or curve size, of `rsa`, `rsa-pss` and of known curves. */
  readonly bits?: number;
  /** Of `ec`: "P-256" and its like, an OID, or "explicit" for parameters instead of a name. */
  readonly curve?: string;
}

const KEY_TYPES: Readonly<Record<string, PublicKey['type']>> = {
  '1.2.840.113549.1.1.1': 'rsa',
  '1.2.840.113549.1.1.10': 'rsa-pss',
  '1.2.840.10045.2.1': 'ec',
  '1.3.101.112': 'ed25519',
};

const CURVES: Readonly<Record<string, { readonly curve: string; readonly bits: number }>> = {
  '1.3.132.0.33': { curve: 'P-224', bits: 224 },
  '1.2.840.10045.3.1.7': { curve: 'P-256', bits: 256 },
  '1.3.132.0.34': { curve: 'P-384', bits: 384 },
  '1.3.132.0.35': { curve: 'P-521', bits: 521 },
};

const ED25519_BYTES = 32;
const UNCOMPRESSED_POINT = 4;

/** The key inside `reader`, which is its SEQUENCE. Keys of unknown algorithms are read as such: whether to take them is policy. */
export function parsePublicKey(reader: DerReader): PublicKey {
  const identifier = reader.enter(TAG.sequence, "the public key's algorithm");
  const key = reader.readBitStringBytes('the public key');
  reader.end('the public key');
  const algorithm = identifier.readOid("the public key's algorithm");
  const type = KEY_TYPES[algorithm] ?? 'other';
  switch (type) {
    case 'rsa':
      identifier.read(TAG.null, "the RSA key's parameters");
      identifier.end("the RSA key's parameters");
      return { type, algorithm, bits: parseRsaBits(openSequence(key, reader.object, 'the RSA key')) };
    case 'rsa-pss':
      return { type, algorithm, bits: parseRsaBits(openSequence(key, reader.object, 'the RSA key')) };
    case 'ec':
      return { type, algorithm, ...parseCurve(identifier, key) };
    case 'ed25519':
      identifier.end('the Ed25519 algorithm');
      if (key.length !== ED25519_BYTES) throw reader.error('X509_CONTENT', `the Ed25519 key has ${key.length} bytes`);
      return { type, algorithm };
    case 'other':
    default:
      return { type, algorithm };
  }
}

/** "RSA 2048", "EC P-256", "Ed25519", or the OID of another kind. */
export function describePublicKey({ type, algorithm, bits, curve }: PublicKey): string {
  switch (type) {
    case 'rsa':
      return `RSA ${bits}`;
    case 'rsa-pss':
      return `RSA-PSS ${bits}`;
    case 'ec':
      return `EC ${curve}`;
    case 'ed25519':
      return 'Ed25519';
    case 'other':
    default:
      return algorithm;
  }
}

function parseRsaBits(reader: DerReader): number {
  const modulus = reader.readInteger("the RSA key's modulus");
  const exponent = reader.readSmallInteger("the RSA key's exponent");
  reader.end("the RSA key's exponent");
  const [first = 0] = modulus;
  if (first >= 0x80 || (modulus.length === 1 && first === 0)) {
    throw reader.error('X509_CONTENT', "the RSA key's modulus is not positive");
  }
  // Go's crypto/rsa (checkPublicKeySize and its neighbours): an odd exponent from 3 to 2^31 - 1
  if (exponent < 3 || exponent % 2 === 0) throw reader.error('X509_CONTENT', `the RSA key's exponent is ${exponent}`);
  return modulus.length * 8 - Math.clz32(first) + 24;
}

function parseCurve(identifier: DerReader, point: Uint8Array): Pick<PublicKey, 'curve' | 'bits'> {
  if (identifier.nextTag !== TAG.oid) return { curve: 'explicit' };
  const oid = identifier.readOid('the curve');
  identifier.end('the curve');
  const known = CURVES[oid];
  if (known === undefined) return { curve: oid };
  // Go reads no compressed points, and rewrites nothing: the key of the certificate has the same bytes
  if (point[0] !== UNCOMPRESSED_POINT || point.length !== 1 + 2 * Math.ceil(known.bits / 8)) {
    throw identifier.error('X509_CONTENT', `the key is no uncompressed point of ${known.curve}`);
  }
  return known;
}
