/** Three readers of requests that oracle.test.ts compares: ours, `openssl req` and @peculiar/x509. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as x509 from '@peculiar/x509';
import { toHex } from '../bytes.ts';
import { parseCsrDer, verifyCsr } from '../csr.ts';
import { describeName } from '../general-names.ts';
import { parsePem } from '../pem.ts';
import { describePublicKey } from '../public-key.ts';

/** What all three readers must agree on; lists are sorted. */
export interface Reading {
  readonly subject: readonly string[];
  readonly spki: string;
  readonly key: string;
  readonly names: readonly string[];
  readonly isCa: boolean;
  readonly keyUsages: readonly string[];
  readonly extendedKeyUsages: readonly string[];
  readonly verified: boolean;
}

export const ATTRIBUTES = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  L: '2.5.4.7',
  UID: '0.9.2342.19200300.100.1.1',
} as const;

/** In the order of the bits: cert-manager's word, openssl's, and openssl's option. */
export const KEY_USAGES = [
  ['digital signature', 'Digital Signature', 'digitalSignature'],
  ['content commitment', 'Non Repudiation', 'nonRepudiation'],
  ['key encipherment', 'Key Encipherment', 'keyEncipherment'],
  ['data encipherment', 'Data Encipherment', 'dataEncipherment'],
  ['key agreement', 'Key Agreement', 'keyAgreement'],
  ['cert sign', 'Certificate Sign', 'keyCertSign'],
  ['crl sign', 'CRL Sign', 'cRLSign'],
  ['encipher only', 'Encipher Only', 'encipherOnly'],
  ['decipher only', 'Decipher Only', 'decipherOnly'],
] as const;

/** OID, cert-manager's word, openssl's. */
export const EXTENDED_KEY_USAGES = [
  ['2.5.29.37.0', 'any', 'Any Extended Key Usage'],
  ['1.3.6.1.5.5.7.3.1', 'server auth', 'TLS Web Server Authentication'],
  ['1.3.6.1.5.5.7.3.2', 'client auth', 'TLS Web Client Authentication'],
  ['1.3.6.1.5.5.7.3.3', 'code signing', 'Code Signing'],
  ['1.3.6.1.5.5.7.3.4', 'email protection', 'E-mail Protection'],
  ['1.3.6.1.5.5.7.3.5', 'ipsec end system', 'IPSec End System'],
  ['1.3.6.1.5.5.7.3.6', 'ipsec tunnel', 'IPSec Tunnel'],
  ['1.3.6.1.5.5.7.3.7', 'ipsec user', 'IPSec User'],
  ['1.3.6.1.5.5.7.3.8', 'timestamping', 'Time Stamping'],
  ['1.3.6.1.5.5.7.3.9', 'ocsp signing', 'OCSP Signing'],
  ['1.3.6.1.4.1.311.10.3.3', 'microsoft sgc', 'Microsoft Server Gated Crypto'],
  ['2.16.840.1.113730.4.1', 'netscape sgc', 'Netscape Server Gated Crypto'],
  ['1.2.3.4', '1.2.3.4', '1.2.3.4'],
] as const;

export function readByUs(request: Uint8Array): Reading {
  const csr = parseCsrDer(request);
  verifyCsr(csr);
  return {
    subject: csr.subject
      .flat()
      .map(({ type, value }) => `${type}=${value}`)
      .toSorted(),
    spki: toHex(csr.spkiDer),
    key: describePublicKey(csr.publicKey),
    names: sortedSet(csr.names.map(describeName)),
    isCa: csr.requestsCa,
    keyUsages: csr.keyUsages.toSorted(),
    extendedKeyUsages: csr.extendedKeyUsages.toSorted(),
    verified: true,
  };
}

export function readByOpenssl(request: Uint8Array): Reading {
  const options = '-inform DER -noout -text -pubkey -verify -nameopt sep_multiline,utf8,sname'.split(' ');
  const { stdout: printed, stderr } = openssl(['req', ...options], request);
  const stdout = printed.toString();
  const section = (title: string) =>
    new RegExp(`^ *X509v3 ${title}: .*\n *(.*)`, 'm').exec(stdout)?.[1]?.split(', ') ?? [];
  const subject = /^ *Subject:(.*(?:\n {12}.*)*)/m.exec(stdout)?.[1] ?? '';
  const wordOf = (table: readonly (readonly string[])[], ours: number, theirs: number) => (word: string) =>
    table.find((row) => row[theirs] === word)?.[ours] ?? `unknown to the table: ${word}`;
  const [spki = new Uint8Array()] = parsePem(stdout.slice(0, stdout.indexOf('Certificate Request:')), {
    object: 'CSR',
    labels: ['PUBLIC KEY'],
    maxBlocks: 1,
    maxBytes: 10_000,
  });
  return {
    subject: subject
      .split(/\n| \+ /)
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .toSorted(),
    spki: toHex(spki),
    key: opensslKey(stdout),
    names: sortedSet(section('Subject Alternative Name').map(fromOpensslName)),
    isCa: section('Basic Constraints').includes('CA:TRUE'),
    keyUsages: section('Key Usage')
      .map(wordOf(KEY_USAGES, 0, 1))
      .toSorted(),
    extendedKeyUsages: section('Extended Key Usage')
      .map(wordOf(EXTENDED_KEY_USAGES, 1, 2))
      .toSorted(),
    verified: stderr.includes('verify OK'),
  };
}

function opensslKey(printed: string): string {
  const curve = /NIST CURVE: (\S+)/.exec(printed)?.[1];
  if (curve !== undefined) return `EC ${curve}`;
  if (/Public Key Algorithm: ED25519/i.test(printed)) return 'Ed25519';
  const prefix = printed.includes('Public Key Algorithm: rsassaPss') ? 'RSA-PSS' : 'RSA';
  return `${prefix} ${/Public-Key: \((\d+) bit\)/.exec(printed)?.[1]}`;
}

function fromOpensslName(printed: string): string {
  const [, kind = '', value = ''] = /^([^:]+): ?(.*)$/s.exec(printed) ?? [];
  switch (kind) {
    case 'IP Address':
      return `IP:${canonicalIp(value)}`;
    case 'Registered ID':
      return `registeredID:${value}`;
    case 'othername':
      return `otherName:${value.replace('::', '=')}`;
    default:
      return printed;
  }
}

export async function readByPeculiar(request: Uint8Array): Promise<Omit<Reading, 'key'>> {
  const csr = new x509.Pkcs10CertificateRequest(request);
  const names = csr.extensions.find((one) => one instanceof x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const usages = csr.extensions.find((one) => one instanceof x509.KeyUsagesExtension)?.usages ?? 0;
  const extended = csr.extensions.find((one) => one instanceof x509.ExtendedKeyUsageExtension)?.usages ?? [];
  const types = new Map<string, string>(Object.entries(ATTRIBUTES).map(([short, type]) => [type, short]));
  const prefixes: Readonly<Record<string, string>> = {
    dns: 'DNS',
    ip: 'IP',
    email: 'email',
    url: 'URI',
    id: 'registeredID',
  };
  return {
    subject: csr.subjectName
      .toJSON()
      .flatMap((rdn) =>
        Object.entries(rdn).flatMap(([type, values]) => values.map((value) => `${types.get(type) ?? type}=${value}`)),
      )
      .toSorted(),
    spki: toHex(new Uint8Array(csr.publicKey.rawData)),
    names: sortedSet(names.map(({ type, value }) => `${prefixes[type]}:${type === 'ip' ? canonicalIp(value) : value}`)),
    isCa: csr.extensions.find((one) => one instanceof x509.BasicConstraintsExtension)?.ca ?? false,
    keyUsages: KEY_USAGES.filter((_, bit) => (usages & (1 << bit)) !== 0)
      .map(([word]) => word)
      .toSorted(),
    extendedKeyUsages: extended
      .map((type) => EXTENDED_KEY_USAGES.find((row) => row[0] === type)?.[1] ?? String(type))
      .toSorted(),
    verified: await csr.verify(),
  };
}

/** @peculiar/x509 leaves otherNames out, and does not say the size of every key. */
export function asPeculiarReads(reading: Reading): Omit<Reading, 'key'> {
  const { key: _, names, ...rest } = reading;
  return { ...rest, names: names.filter((name) => !name.startsWith('otherName:')) };
}

/** Runs openssl, which must succeed. */
export function openssl(parameters: readonly string[], input: Uint8Array = new Uint8Array()) {
  const { status, stdout, stderr } = spawnSync('openssl', parameters, { input });
  assert.equal(status, 0, stderr.toString());
  return { stdout, stderr: stderr.toString() };
}

function sortedSet(items: readonly string[]): string[] {
  return [...new Set(items)].toSorted();
}

function canonicalIp(value: string): string {
  return value.includes(':') ? new URL(`http://[${value}]`).hostname.slice(1, -1) : value;
}
