/** A CA's certificate and key, and certificates signed with them. */
import { createPrivateKey, createPublicKey, type KeyObject, type webcrypto } from 'node:crypto';
import { type Certificate, parseCertificates } from '../src/x509/index.ts';
import { ConfigurationError } from './configuration-error.ts';
import { toDate } from './go/time.ts';
import { SigningError } from './signing-error.ts';
import {
  BasicConstraintsExtension,
  type Extension,
  type Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from './x509-library.ts';

export interface Authority {
  readonly certificate: Certificate;
  /** Hex; undefined when the certificate has none. */
  readonly keyId: string | undefined;
  /** Of the certificate: how many CAs may follow; undefined for no limit. */
  readonly pathLength: number | undefined;
  readonly key: webcrypto.CryptoKey;
  readonly algorithm: SigningAlgorithm;
  /** CFSSL loads a key that is another certificate's, and fails at signing. */
  readonly keyFits: boolean;
}

export interface Template {
  /** Hex of a positive integer. */
  readonly serialHex: string;
  readonly subject: Name;
  readonly spkiDer: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Extension[];
}

type SigningAlgorithm =
  | { readonly name: 'RSASSA-PKCS1-v1_5'; readonly hash: string }
  | { readonly name: 'ECDSA'; readonly namedCurve: string; readonly hash: string }
  | { readonly name: 'Ed25519' };

const CURVES: Readonly<Record<string, { readonly namedCurve: string; readonly hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
};

/**
 * @param keyFile PEM or DER
 * @throws ConfigurationError
 */
export function createAuthority(certificatePem: string, keyFile: Buffer): Authority {
  const [certificate, second] = parseCertificates(certificatePem);
  if (certificate === undefined || second !== undefined) {
    throw new ConfigurationError('the PEM file should contain only one object');
  }
  const privateKey = parsePrivateKey(keyFile);
  const algorithm = chooseAlgorithm(privateKey);
  const library = new X509Certificate(certificate.der);
  return {
    certificate,
    keyId: library.getExtension(SubjectKeyIdentifierExtension)?.keyId,
    pathLength: library.getExtension(BasicConstraintsExtension)?.pathLength,
    key: privateKey.toCryptoKey(algorithm, false, ['sign']),
    algorithm,
    keyFits: createPublicKey(privateKey).equals(certificate.x509.publicKey),
  };
}

function parsePrivateKey(file: Buffer): KeyObject {
  const attempts = [
    () => createPrivateKey(file),
    ...(['pkcs8', 'pkcs1', 'sec1'] as const).map((type) => () => createPrivateKey({ key: file, format: 'der', type })),
  ];
  for (const attempt of attempts) {
    try {
      return attempt();
    } catch {
      // Not in this form; the next one may fit
    }
  }
  throw new ConfigurationError('the private key is neither PEM nor DER, or is encrypted');
}

/** By the size of the key, as CFSSL's `DefaultSigAlgo`. */
function chooseAlgorithm({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): SigningAlgorithm {
  if (type === 'ed25519') return { name: 'Ed25519' };
  if (type === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: rsaHash(details?.modulusLength ?? 0) };
  const curve = type === 'ec' ? CURVES[details?.namedCurve ?? ''] : undefined;
  if (curve === undefined) throw new ConfigurationError('unsupported private key type');
  return { name: 'ECDSA', ...curve };
}

function rsaHash(bits: number): string {
  if (bits >= 4096) return 'SHA-512';
  if (bits >= 3072) return 'SHA-384';
  return bits >= 2048 ? 'SHA-256' : 'SHA-1';
}

/** Go's name for it: "ECDSAWithSHA256", "SHA256WithRSA", "Ed25519". */
export function describeAlgorithm(algorithm: SigningAlgorithm): string {
  if (algorithm.name === 'Ed25519') return algorithm.name;
  const hash = algorithm.hash.replace('-', '');
  return algorithm.name === 'ECDSA' ? `ECDSAWith${hash}` : `${hash}WithRSA`;
}

const FIRST_UTC_TIME_MS = -631_152_000_000;

/** The certificate in PEM, with a final newline. */
export async function signTemplate(authority: Authority, template: Template): Promise<string> {
  if (!authority.keyFits) throw new SigningError("provided PrivateKey doesn't match parent's PublicKey");
  // The library would write it with two digits of its year
  if (template.notBeforeMs < FIRST_UTC_TIME_MS) throw new SigningError('times before 1950 are not supported');
  const certificate = await X509CertificateGenerator.create({
    serialNumber: template.serialHex,
    subject: template.subject,
    issuer: new X509Certificate(authority.certificate.der).subjectName,
    notBefore: toDate(template.notBeforeMs),
    notAfter: toDate(template.notAfterMs),
    publicKey: template.spkiDer,
    signingKey: authority.key,
    signingAlgorithm: authority.algorithm,
    extensions: [...template.extensions],
  });
  return `${certificate.toString('pem')}\n`;
}

/** Throws when a client could not read the certificate, since the request put an extension into it that is malformed or double. */
export function assertReadable(certificatePem: string): void {
  const certificate = new X509Certificate(certificatePem);
  const types = certificate.extensions.map(({ type }) => type);
  if (new Set(types).size < types.length) throw new Error('x509: certificate contains duplicate extensions');
  // Reading them is the check
  void certificate.getExtension(SubjectAlternativeNameExtension)?.names;
}
