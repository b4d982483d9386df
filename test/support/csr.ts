/** CSRs for tests, made by another implementation than ours. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

// The package's types name those of a browser, which Node's are not.
x509.cryptoProvider.set(webcrypto as never);

export interface CsrOptions {
  readonly commonName?: string;
  /** In RFC 4514's syntax, encoded in the order of the text; goes before `commonName`. */
  readonly subject?: string;
  readonly dnsNames?: readonly string[];
  /** Ask for a CA, in the basic constraints. */
  readonly isCa?: boolean;
}

/** PEM of a CSR with a new P-256 key. */
export async function createCsr({
  commonName,
  subject = commonName === undefined ? undefined : `CN=${commonName}`,
  dnsNames = ['test.example'],
  isCa = false,
}: CsrOptions = {}): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const names = dnsNames.map((value) => ({ type: 'dns' as const, value }));
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    ...(subject === undefined ? {} : { name: subject }),
    keys: keys as never,
    signingAlgorithm: algorithm,
    extensions: [
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
      ...(isCa ? [new x509.BasicConstraintsExtension(true, undefined, true)] : []),
    ],
  });
  return `${csr.toString('pem')}\n`;
}
