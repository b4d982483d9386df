/**
 * Certificate signing requests (PKCS#10, RFC 2986): what they ask for, and the proof of possession of their key.
 * As strict as Go's `crypto/x509`, and where a lenient parser could read something else than CFSSL signs, stricter.
 */
import { toLatin1 } from './bytes.ts';
import { contextTag, type DerReader, openSequence, TAG } from './der.ts';
import { type Extension, type Extensions, NO_EXTENSIONS, parseExtensions } from './extensions.ts';
import type { SubjectAltName } from './general-names.ts';
import { type DistinguishedName, parseName } from './name.ts';
import { parsePem } from './pem.ts';
import { type PublicKey, parsePublicKey } from './public-key.ts';
import { parseSignatureAlgorithm, type SignatureAlgorithm, verifySignature } from './signature.ts';
import type { KeyUsage } from './usages.ts';

export interface CertificateSigningRequest {
  readonly der: Uint8Array;
  /** The only version there is, 0. */
  readonly version: 0;
  readonly subject: DistinguishedName;
  readonly subjectIsEmpty: boolean;
  readonly publicKey: PublicKey;
  readonly spkiDer: Uint8Array;
  /** Subject alternative names in the order of the CSR. */
  readonly names: readonly SubjectAltName[];
  /** The extension that `names` are from, as it is. */
  readonly sanExtension?: Extension;
  /** basicConstraints say CA. */
  readonly requestsCa: boolean;
  readonly keyUsages: readonly KeyUsage[];
  /** cert-manager's words, or OIDs. */
  readonly extendedKeyUsages: readonly string[];
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** The bytes that are signed. */
  readonly signedDer: Uint8Array;
  readonly signature: Uint8Array;
}

/** A request with a few hundred names of full length has less; so has every RSA key that we verify. */
const MAX_CSR_BYTES = 256 * 1024;
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';

/**
 * Reads the one PEM block "CERTIFICATE REQUEST" (or "NEW CERTIFICATE REQUEST") in `pem`; verifies nothing.
 * @throws X509Error X509_PEM, X509_DER, X509_CONTENT or X509_LIMIT
 */
export function parseCsr(pem: string | Uint8Array): CertificateSigningRequest {
  const text = typeof pem === 'string' ? pem : toLatin1(pem);
  const [der = new Uint8Array()] = parsePem(text, {
    object: 'CSR',
    labels: ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST'],
    maxBlocks: 1,
    maxBytes: MAX_CSR_BYTES,
  });
  return parseCsrDer(der);
}

export function parseCsrDer(der: Uint8Array): CertificateSigningRequest {
  const request = openSequence(der, 'CSR', 'the outer SEQUENCE');
  const info = request.enterEncoded(TAG.sequence, 'the request info');
  const signatureAlgorithm = parseSignatureAlgorithm(request.enter(TAG.sequence, 'the signature algorithm'));
  const signature = request.readBitStringBytes('the signature');
  request.end('the signature');

  const fields = info.inside;
  const version = fields.readSmallInteger('the version');
  if (version !== 0) throw fields.error('X509_CONTENT', `the version is ${version}, not 0`);
  const subject = parseName(fields.enter(TAG.sequence, 'the subject'));
  const spki = fields.enterEncoded(TAG.sequence, 'the public key');
  const publicKey = parsePublicKey(spki.inside);
  // RFC 2986 demands the attributes, openssl and Go do not
  const attributes = fields.enterOptional(contextTag(0, 'constructed'), 'the attributes');
  fields.end('the attributes');
  const extensions = attributes === undefined ? NO_EXTENSIONS : parseAttributes(attributes);
  return {
    der,
    version,
    subject,
    subjectIsEmpty: subject.length === 0,
    publicKey,
    spkiDer: spki.encoded,
    names: extensions.names,
    ...(extensions.subjectAltName && { sanExtension: extensions.subjectAltName }),
    requestsCa: extensions.isCa,
    keyUsages: extensions.keyUsages,
    extendedKeyUsages: extensions.extendedKeyUsages,
    signatureAlgorithm,
    signedDer: info.encoded,
    signature,
  };
}

/** The extensions that the attributes ask for. Two such attributes are refused: parsers differ in which one they see. */
function parseAttributes(reader: DerReader): Extensions {
  let extensions: Extensions | undefined;
  while (!reader.isEmpty) {
    const attribute = reader.enter(TAG.sequence, 'an attribute');
    const type = attribute.readOid('an attribute type');
    const values = attribute.enter(TAG.set, "an attribute's values");
    attribute.end("an attribute's values");
    if (type !== EXTENSION_REQUEST) continue;
    if (extensions !== undefined) throw reader.error('X509_CONTENT', 'there are two extensionRequest attributes');
    extensions = parseExtensions(values.enter(TAG.sequence, 'the extensionRequest'));
    values.end('the extensionRequest');
  }
  return extensions ?? NO_EXTENSIONS;
}

/**
 * Proves that the requester has the private key: returns when the CSR is signed by its own key.
 * @throws X509Error X509_SIGNATURE; X509_UNSUPPORTED for keys other than RSA of 1024 to 16384 bits, P-256, P-384, P-521
 * and Ed25519, and for algorithms that we do not know (SHA-1 is known, as in Go, since it signs nothing but the request);
 * X509_CONTENT for a key that cannot exist
 */
export function verifyCsr(csr: CertificateSigningRequest): void {
  verifySignature({
    object: 'CSR',
    signed: csr.signedDer,
    signature: csr.signature,
    algorithm: csr.signatureAlgorithm,
    publicKey: csr.publicKey,
    spkiDer: csr.spkiDer,
  });
}
