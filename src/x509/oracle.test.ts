/**
 * Our reading of requests against two others': `openssl req` and @peculiar/x509, on 240 requests of all key types and
 * kinds of names, a third made by openssl, a third by @peculiar/x509 and a third by our own builder.
 */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { constants, type KeyPairKeyObjectResult as KeyPair, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as x509 from '@peculiar/x509';
import * as fc from 'fast-check';
import { toHex } from './bytes.ts';
import { parseCsrDer, verifyCsr } from './csr.ts';
import { describeName } from './general-names.ts';
import { encodePem, parsePem } from './pem.ts';
import { describePublicKey } from './public-key.ts';
import {
  attribute,
  basicConstraintsCa,
  bits,
  csrDer,
  der,
  extendedKeyUsage,
  extension,
  newKey,
  oid,
  san,
  seq,
  set,
  text,
} from './test-support.ts';

/** What all three readers must agree on; lists are sorted. */
interface Reading {
  readonly subject: readonly string[];
  readonly spki: string;
  readonly key: string;
  readonly names: readonly string[];
  readonly isCa: boolean;
  readonly keyUsages: readonly string[];
  readonly extendedKeyUsages: readonly string[];
  readonly verified: boolean;
}

/** What to ask for, and how to sign it. */
interface Spec {
  readonly kind: string;
  readonly hash: string;
  readonly usesPss: boolean;
  readonly saltLength: number;
  /** RDNs of short names and values. */
  readonly subject: readonly (readonly (readonly [keyof typeof ATTRIBUTES, string])[])[];
  /** openssl's kinds (DNS, IP, email, URI, RID, otherName) and values. */
  readonly names: readonly (readonly [string, string])[];
  readonly isCa: boolean;
  /** Indices into KEY_USAGES and EXTENDED_KEY_USAGES. */
  readonly keyUsages: readonly number[];
  readonly extendedKeyUsages: readonly number[];
}

const ATTRIBUTES = {
  CN: '2.5.4.3',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  L: '2.5.4.7',
  UID: '0.9.2342.19200300.100.1.1',
} as const;

/** In the order of the bits: cert-manager's word, openssl's, and openssl's option. */
const KEY_USAGES = [
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
const EXTENDED_KEY_USAGES = [
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

const KINDS = ['RSA-2048', 'RSA-3072', 'RSA-PSS-2048', 'P-256', 'P-384', 'P-521', 'Ed25519'] as const;
const SEED = 20_261_124;
const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/);
const octet = fc.nat({ max: 255 });
const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
const name: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  fc.tuple(fc.constant('DNS'), fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))),
  fc.tuple(fc.constant('DNS'), label.map((one) => `*.${one}.example`)),
  fc.tuple(fc.constant('IP'), fc.array(octet, { minLength: 4, maxLength: 4 }).map((octets) => octets.join('.'))),
  fc.tuple(fc.constant('IP'), fc.array(fc.oneof(group, fc.constant('0')), { minLength: 7, maxLength: 7 }).map((groups) => `2001:${groups.join(':')}`)),
  fc.tuple(fc.constant('email'), fc.tuple(label, label).map(([user, host]) => `${user}@${host}`)),
  fc.tuple(fc.constant('URI'), fc.tuple(label, label).map(([host, path]) => `spiffe://${host}/${path}?a=%20`)),
  fc.tuple(fc.constant('RID'), fc.tuple(octet, octet).map(([a, b]) => `1.3.${a}.${b}`)),
  fc.tuple(fc.constant('otherName'), label),
);
const attributeValue = fc.stringMatching(/^[A-Za-zé中][A-Za-z0-9 é中'"<>;:@&.-]{0,20}[A-Za-z]$/);
const spec: fc.Arbitrary<Omit<Spec, 'kind'>> = fc.record({
  hash: fc.constantFrom('sha1', 'sha256', 'sha384', 'sha512'),
  usesPss: fc.boolean(),
  saltLength: fc.constantFrom(0, 20, 32, 64),
  subject: fc.array(fc.array(fc.tuple(fc.constantFrom('CN', 'O', 'OU', 'L', 'UID'), attributeValue), { minLength: 1, maxLength: 2 }), { maxLength: 4 }),
  names: fc.array(name, { maxLength: 6 }),
  isCa: fc.boolean(),
  keyUsages: fc.uniqueArray(fc.nat({ max: KEY_USAGES.length - 1 }), { maxLength: 4 }),
  extendedKeyUsages: fc.uniqueArray(fc.nat({ max: EXTENDED_KEY_USAGES.length - 1 }), { maxLength: 4 }),
});

/** The same specs in every run, `count` for each kind of key. */
function specs(count: number): Spec[] {
  const samples = fc.sample(spec, { seed: SEED + count, numRuns: count * KINDS.length });
  return samples.map((sample, index) => ({ ...sample, kind: KINDS[index % KINDS.length] ?? 'P-256' }));
}

const isPss = ({ kind, usesPss }: Spec) => kind.startsWith('RSA-PSS') || (kind.startsWith('RSA') && usesPss);
const keys = new Map<string, KeyPair>();
const keyOf = ({ kind }: Spec): KeyPair => {
  const key = keys.get(kind) ?? newKey(kind);
  keys.set(kind, key);
  return key;
};

describe('parseCsr reads what openssl and @peculiar/x509 read', () => {
  let directory = '';
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'x509-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  const sources: readonly (readonly [string, number, (spec: Spec) => Uint8Array | Promise<Uint8Array>])[] = [
    ['made by openssl', 12, (spec) => madeByOpenssl(spec, directory)],
    ['made by @peculiar/x509', 12, madeByPeculiar],
    ['made by us', 12, madeByUs],
  ];
  for (const [source, count, make] of sources) {
    test(`in ${count * KINDS.length} requests ${source}`, async () => {
      for (const spec of specs(count)) {
        const request = await make(spec);
        const ours = readByUs(request);
        const context = encodePem('CERTIFICATE REQUEST', request);
        assert.equal(ours.verified, true, context);
        assert.equal(ours.names.length, new Set(spec.names.map((pair) => pair.join())).size, context);
        assert.deepEqual(ours, readByOpenssl(request), context);
        assert.deepEqual(withoutOtherNames(ours), await readByPeculiar(request), context);
      }
    });
  }
});

function readByUs(request: Uint8Array): Reading {
  const csr = parseCsrDer(request);
  verifyCsr(csr);
  return {
    subject: csr.subject.map(({ type, value }) => `${type}=${value}`).toSorted(),
    spki: toHex(csr.spkiDer),
    key: describePublicKey(csr.publicKey),
    names: sortedSet(csr.names.map(describeName)),
    isCa: csr.requestsCa,
    keyUsages: csr.keyUsages.toSorted(),
    extendedKeyUsages: csr.extendedKeyUsages.toSorted(),
    verified: true,
  };
}

function readByOpenssl(request: Uint8Array): Reading {
  const options = '-inform DER -noout -text -pubkey -verify -nameopt sep_multiline,utf8,sname'.split(' ');
  const { stdout, stderr } = openssl(['req', ...options], request);
  const section = (title: string) => new RegExp(`^ *X509v3 ${title}: .*\n *(.*)`, 'm').exec(stdout)?.[1]?.split(', ') ?? [];
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
    subject: subject.split(/\n| \+ /).map((line) => line.trim()).filter((line) => line !== '').toSorted(),
    spki: toHex(spki),
    key: opensslKey(stdout),
    names: sortedSet(section('Subject Alternative Name').map(fromOpensslName)),
    isCa: section('Basic Constraints').includes('CA:TRUE'),
    keyUsages: section('Key Usage').map(wordOf(KEY_USAGES, 0, 1)).toSorted(),
    extendedKeyUsages: section('Extended Key Usage').map(wordOf(EXTENDED_KEY_USAGES, 1, 2)).toSorted(),
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

async function readByPeculiar(request: Uint8Array): Promise<Reading> {
  const csr = new x509.Pkcs10CertificateRequest(request);
  const extensionOf = <T>(type: string) => csr.getExtension(type) as (x509.Extension & T) | null;
  const names = extensionOf<x509.SubjectAlternativeNameExtension>('2.5.29.17')?.names.toJSON() ?? [];
  const usages = extensionOf<x509.KeyUsagesExtension>('2.5.29.15')?.usages ?? 0;
  const extended = extensionOf<x509.ExtendedKeyUsageExtension>('2.5.29.37')?.usages ?? [];
  const types = new Map<string, string>(Object.entries(ATTRIBUTES).map(([short, type]) => [type, short]));
  const prefixes: Readonly<Record<string, string>> = { dns: 'DNS', ip: 'IP', email: 'email', url: 'URI', id: 'registeredID' };
  return {
    subject: csr.subjectName
      .toJSON()
      .flatMap((rdn) => Object.entries(rdn).flatMap(([type, values]) => values.map((value) => `${types.get(type) ?? type}=${value}`)))
      .toSorted(),
    spki: toHex(new Uint8Array(csr.publicKey.rawData)),
    key: peculiarKey(csr.publicKey.algorithm, toHex(new Uint8Array(csr.publicKey.rawData))),
    names: sortedSet(names.map(({ type, value }) => `${prefixes[type]}:${type === 'ip' ? canonicalIp(value) : value}`)),
    isCa: extensionOf<x509.BasicConstraintsExtension>('2.5.29.19')?.ca ?? false,
    keyUsages: KEY_USAGES.filter((_, bit) => (usages & (1 << bit)) !== 0).map(([word]) => word).toSorted(),
    extendedKeyUsages: extended.map((type) => EXTENDED_KEY_USAGES.find((row) => row[0] === type)?.[1] ?? String(type)).toSorted(),
    verified: await csr.verify(),
  };
}
