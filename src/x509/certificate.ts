/** X.509 certificates (RFC 5280): the fields that we judge by, and who issued whom. */
import { hash, X509Certificate } from 'node:crypto';
import { equalBytes, toHex } from './bytes.ts';
import { contextTag, type DerReader, openSequence, TAG } from './der.ts';
import { printable, X509Error } from './errors.ts';
import { NO_EXTENSIONS, parseExtensions } from './extensions.ts';
import type { SubjectAltName } from './general-names.ts';
import { type DistinguishedName, formatName, parseName } from './name.ts';
import { encodePem, parsePem } from './pem.ts';
import { readTime } from './time.ts';
import type { KeyUsage } from './usages.ts';

export interface Certificate {
  /** One block "CERTIFICATE" with a final newline. */
  readonly pem: string;
  readonly der: Uint8Array;
  readonly version: 1 | 2 | 3;
  /** Lower-case hexadecimal without leading zeros. */
  readonly serialHex: string;
  /** Fingerprint of the DER, lower-case hexadecimal. */
  readonly sha256Hex: string;
  readonly subject: DistinguishedName;
  /** The subject for people: `CN=a.example,O=Example`. */
  readonly subjectText: string;
  readonly subjectDer: Uint8Array;
  readonly issuerDer: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly names: readonly SubjectAltName[];
  readonly spkiDer: Uint8Array;
  /** basicConstraints say CA. */
  readonly isCa: boolean;
  readonly hasBasicConstraints: boolean;
  readonly keyUsages: readonly KeyUsage[];
  /** cert-manager's words, or OIDs. */
  readonly extendedKeyUsages: readonly string[];
  /** A precertificate of Certificate Transparency (RFC 6962, 3.1), which no client accepts. */
  readonly hasCtPoison: boolean;
  /** It issued itself as a CA: a root. */
  readonly isSelfSigned: boolean;
  readonly x509: X509Certificate;
}

/** As `ParseSingleCertificateChain` of cert-manager. */
export const MAX_CERTIFICATES = 1000;
const MAX_CERTIFICATE_BYTES = 256 * 1024;

/**
 * The certificates in `pem`, one or more blocks in their order; text between the blocks is allowed.
 * @throws X509Error X509_PEM, X509_DER, X509_CONTENT or X509_LIMIT
 */
export function parseCertificates(pem: string): Certificate[] {
  const ders = parsePem(pem, {
    object: 'certificate',
    labels: ['CERTIFICATE'],
    maxBlocks: MAX_CERTIFICATES,
    maxBytes: MAX_CERTIFICATE_BYTES,
  });
  return ders.map(parseCertificateDer);
}

export function parseCertificateDer(der: Uint8Array): Certificate {
  const certificate = openSequence(der, 'certificate', 'the outer SEQUENCE');
  const signed = certificate.enter(TAG.sequence, 'the signed part');
  const algorithm = certificate.readElement('the signature algorithm');
  certificate.readBitStringBytes('the signature');
  certificate.end('the signature');

  const version = readVersion(signed);
  const serialHex = readSerial(signed);
  if (!equalBytes(signed.readElement('the inner signature algorithm').encoded, algorithm.encoded)) {
    throw signed.error('X509_CONTENT', 'the two signature algorithms differ');
  }
  const issuer = signed.enterEncoded(TAG.sequence, 'the issuer');
  const validity = signed.enter(TAG.sequence, 'the validity');
  const notBeforeMs = readTime(validity, 'notBefore');
  const notAfterMs = readTime(validity, 'notAfter');
  validity.end('the validity');
  const subject = signed.enterEncoded(TAG.sequence, 'the subject');
  const name = parseName(subject.inside);
  const spki = signed.enterEncoded(TAG.sequence, 'the public key');
  const fields = {
    pem: encodePem('CERTIFICATE', der),
    der,
    version,
    serialHex,
    sha256Hex: hash('sha256', der, 'hex'),
    subject: name,
    subjectText: printable(formatName(name), 200),
    subjectDer: subject.encoded,
    issuerDer: issuer.encoded,
    notBeforeMs,
    notAfterMs,
    spkiDer: spki.encoded,
    ...readExtensions(signed, version),
    x509: importCertificate(der),
  };
  return { ...fields, isSelfSigned: isIssuedBy(fields, fields) };
}

function readVersion(reader: DerReader): 1 | 2 | 3 {
  const explicit = reader.enterOptional(contextTag(0, 'constructed'), 'the version');
  if (explicit === undefined) return 1;
  const version = explicit.readSmallInteger('the version') + 1;
  explicit.end('the version');
  if (version !== 1 && version !== 2 && version !== 3) throw reader.error('X509_CONTENT', `the version is ${version}`);
  return version;
}

function readSerial(reader: DerReader): string {
  const serial = reader.readInteger('the serial number');
  if ((serial[0] ?? 0) >= 0x80) throw reader.error('X509_CONTENT', 'the serial number is negative');
  return toHex(serial).replace(/^0+(?=.)/, '');
}

function readExtensions(reader: DerReader, version: number) {
  // issuerUniqueID and subjectUniqueID, which nobody uses
  reader.readOptional(contextTag(1, 'primitive'), 'the issuerUniqueID');
  reader.readOptional(contextTag(2, 'primitive'), 'the subjectUniqueID');
  const explicit = version === 3 ? reader.enterOptional(contextTag(3, 'constructed'), 'the extensions') : undefined;
  reader.end('the last field');
  const extensions = explicit?.enter(TAG.sequence, 'the extensions');
  explicit?.end('the extensions');
  const { subjectAltName: _, ...fields } = extensions === undefined ? NO_EXTENSIONS : parseExtensions(extensions);
  return fields;
}

function importCertificate(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new X509Error('X509_CONTENT', 'certificate', 'Cannot parse certificate: OpenSSL refuses it', { cause });
  }
}

/**
 * Whether `issuer` may and did sign `certificate`: the names match, the signature verifies, and what the issuer's
 * extensions say allows it. It is Go's `Certificate.CheckSignatureFrom` together with the comparison of names; neither
 * looks at validity.
 */
export function isIssuedBy(
  certificate: Pick<Certificate, 'issuerDer' | 'x509'>,
  issuer: Pick<Certificate, 'subjectDer' | 'version' | 'hasBasicConstraints' | 'isCa' | 'keyUsages' | 'x509'>,
): boolean {
  if (!equalBytes(certificate.issuerDer, issuer.subjectDer)) return false;
  const isCa = issuer.hasBasicConstraints ? issuer.isCa : issuer.version < 3;
  const maySign = issuer.keyUsages.length === 0 || issuer.keyUsages.includes('cert sign');
  return isCa && maySign && isSignedBy(certificate.x509, issuer.x509);
}

/**
 * Certificates never change, so a signature is verified once however often it is asked about: chains are built and
 * checked from the same few CA certificates for every request.
 */
const signatures = new WeakMap<X509Certificate, WeakMap<X509Certificate, boolean>>();

function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  let verdicts = signatures.get(certificate);
  if (verdicts === undefined) {
    verdicts = new WeakMap();
    signatures.set(certificate, verdicts);
  }
  let verdict = verdicts.get(issuer);
  if (verdict === undefined) {
    verdict = verifySignature(certificate, issuer);
    verdicts.set(issuer, verdict);
  }
  return verdict;
}

function verifySignature(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey);
  } catch {
    // OpenSSL knows no such key or algorithm, so nobody can tell that it signed
    return false;
  }
}
