// Certificate authorities and certificates for the servers and their clients, made in this process: P-256, PKCS #8,
// PEM. All are throw-away and valid for ten years from an hour ago, so that clocks need not agree.

import 'reflect-metadata';
import { generateKeyPairSync, randomBytes, webcrypto } from 'node:crypto';

import * as x509 from '@peculiar/x509';

// The package's types name those of a browser, which Node's are not.
x509.cryptoProvider.set(webcrypto as never);

export interface CertificateAndKey {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** An authority that this process can issue from. */
export interface Authority extends CertificateAndKey {
  readonly subject: string;
  readonly privateKey: webcrypto.CryptoKey;
  readonly publicKey: webcrypto.CryptoKey;
}

export interface CertificateRequestOptions {
  /** The common name: the user, to Kubernetes. */
  readonly name: string;
  /** The organizations: the groups, to Kubernetes. */
  readonly groups?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;
const LIFE_MS = 10 * 365 * 24 * HOUR_MS;

/** Makes an authority: self-signed, or signed by `issuer` and then good for leaf certificates and CAs that sign no other CA. */
export async function createAuthority(name: string, issuer?: Authority): Promise<Authority> {
  const keys = await createKeys();
  const subject = `CN=${name}`;
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(),
    subject,
    issuer: issuer?.subject ?? subject,
    publicKey: keys.publicKey,
    signingKey: issuer?.privateKey ?? keys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, issuer === undefined ? undefined : 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(issuer === undefined ? [] : [await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey)]),
    ],
  });
  return { ...keys, subject, certificatePem: toPem(certificate), keyPem: await exportKey(keys.privateKey) };
}

/** Issues a certificate for a server (it has names or addresses), a client, or both. */
export async function issueCertificate(
  authority: Authority,
  { name, groups = [], dnsNames = [], ipAddresses = [] }: CertificateRequestOptions,
): Promise<CertificateAndKey> {
  const keys = await createKeys();
  const alternatives = [
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(),
    subject: buildSubject(name, groups),
    issuer: authority.subject,
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
      ...(alternatives.length > 0 ? [new x509.SubjectAlternativeNameExtension(alternatives)] : []),
    ],
  });
  return { certificatePem: toPem(certificate), keyPem: await exportKey(keys.privateKey) };
}

/** A key of its own, as Kubernetes signs ServiceAccount tokens with. */
export function createKeyPem(): string {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    type: 'sec1',
    format: 'pem',
  }) as string;
}

function buildSubject(name: string, groups: readonly string[]): x509.Name {
  // As typed values: plain strings are parsed, and lose what stands outside of quotes.
  const organizations = groups.map((group) => ({ O: [{ utf8String: group }] }));
  return new x509.Name([...organizations, { CN: [{ utf8String: name }] }]);
}

function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function toPem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

function validity(): { serialNumber: string; notBefore: Date; notAfter: Date } {
  const notBefore = new Date(Date.now() - HOUR_MS);
  // The first byte keeps the serial number positive and free of a leading zero.
  return {
    serialNumber: `01${randomBytes(15).toString('hex')}`,
    notBefore,
    notAfter: new Date(notBefore.getTime() + LIFE_MS),
  };
}
