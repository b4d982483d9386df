/**
 * Our reading of requests against two others', `openssl req` and @peculiar/x509, on 210 requests of all key types and
 * kinds of names: half of them made by openssl, half by the builder of our tests.
 */
import assert from 'node:assert/strict';
import { constants, type KeyPairKeyObjectResult as KeyPair, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as fc from 'fast-check';
import { encodePem } from './pem.ts';
import {
  basicConstraintsCa,
  bits,
  der,
  extendedKeyUsage,
  extension,
  extensionRequest,
  int,
  newKey,
  oid,
  san,
  seq,
  set,
  spki,
  text,
} from './testing/authority.ts';
import {
  ATTRIBUTES,
  asPeculiarReads,
  EXTENDED_KEY_USAGES,
  KEY_USAGES,
  openssl,
  readByOpenssl,
  readByPeculiar,
  readByUs,
} from './testing/oracle-readers.ts';

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

const KINDS = ['RSA-2048', 'RSA-3072', 'RSA-PSS-2048', 'P-256', 'P-384', 'P-521', 'Ed25519'] as const;
const SEED = 20_261_124;
const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/);
const octet = fc.nat({ max: 255 });
const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
const name: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  fc.tuple(
    fc.constant('DNS'),
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.')),
  ),
  fc.tuple(
    fc.constant('DNS'),
    label.map((one) => `*.${one}.example`),
  ),
  fc.tuple(
    fc.constant('IP'),
    fc.array(octet, { minLength: 4, maxLength: 4 }).map((octets) => octets.join('.')),
  ),
  fc.tuple(
    fc.constant('IP'),
    fc
      .array(fc.oneof(group, fc.constant('0')), { minLength: 7, maxLength: 7 })
      .map((groups) => `2001:${groups.join(':')}`),
  ),
  fc.tuple(
    fc.constant('email'),
    fc.tuple(label, label).map(([user, host]) => `${user}@${host}`),
  ),
  fc.tuple(
    fc.constant('URI'),
    fc.tuple(label, label).map(([host, path]) => `spiffe://${host}/${path}?a=%20`),
  ),
  fc.tuple(
    fc.constant('RID'),
    fc.tuple(octet, octet).map(([a, b]) => `1.3.${a}.${b}`),
  ),
  fc.tuple(fc.constant('otherName'), label),
);
const attributeValue = fc.stringMatching(/^[A-Za-zé中][A-Za-z0-9 é中'"<>;:@&.-]{0,20}[A-Za-z]$/);
const spec: fc.Arbitrary<Omit<Spec, 'kind'>> = fc.record({
  hash: fc.constantFrom('sha1', 'sha256', 'sha384', 'sha512'),
  usesPss: fc.boolean(),
  saltLength: fc.constantFrom(0, 20, 32, 64),
  subject: fc.array(
    fc.array(fc.tuple(fc.constantFrom('CN', 'O', 'OU', 'L', 'UID'), attributeValue), { minLength: 1, maxLength: 2 }),
    { maxLength: 4 },
  ),
  names: fc.array(name, { maxLength: 6 }),
  isCa: fc.boolean(),
  keyUsages: fc.uniqueArray(fc.nat({ max: KEY_USAGES.length - 1 }), { maxLength: 4 }),
  extendedKeyUsages: fc.uniqueArray(fc.nat({ max: EXTENDED_KEY_USAGES.length - 1 }), { maxLength: 4 }),
});

/** The same specs in every run, each kind of key in turn. */
function specs(count: number, seed: number): Spec[] {
  const samples = fc.sample(spec, { seed, numRuns: count });
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

  const sources: readonly (readonly [string, number, (spec: Spec) => Uint8Array])[] = [
    ['made by openssl', SEED, (spec) => madeByOpenssl(spec, directory)],
    ['made by our builder', SEED + 1, madeByUs],
  ];
  for (const [source, seed, make] of sources) {
    test(`in 105 requests ${source}`, async () => {
      for (const spec of specs(105, seed)) {
        const request = make(spec);
        const ours = readByUs(request);
        const context = encodePem('CERTIFICATE REQUEST', request);
        assert.equal(ours.verified, true, context);
        assert.equal(ours.names.length, new Set(spec.names.map((pair) => pair.join())).size, context);
        assert.deepEqual(ours, readByOpenssl(request), context);
        assert.deepEqual(asPeculiarReads(ours), await readByPeculiar(request), context);
      }
    });
  }
});

function madeByOpenssl(spec: Spec, directory: string): Uint8Array {
  const keyFile = join(directory, `${spec.kind}.pem`);
  writeFileSync(keyFile, keyOf(spec).privateKey.export({ format: 'pem', type: 'pkcs8' }));
  const escape = (value: string) => value.replaceAll(/[/+=\\]/g, '\\$&');
  const rdns = spec.subject.map((rdn) => `/${rdn.map(([type, value]) => `${type}=${escape(value)}`).join('+')}`);
  const names = spec.names.map(([kind, value]) => `${kind}:${kind === 'otherName' ? `1.2.3;UTF8:${value}` : value}`);
  const extensions = [
    ...(names.length > 0 ? [`subjectAltName=${names.join(',')}`] : []),
    ...(spec.isCa ? ['basicConstraints=critical,CA:TRUE,pathlen:3'] : []),
    ...(spec.keyUsages.length > 0 ? [`keyUsage=${spec.keyUsages.map((bit) => KEY_USAGES[bit]?.[2]).join(',')}`] : []),
    ...(spec.extendedKeyUsages.length > 0
      ? [`extendedKeyUsage=${spec.extendedKeyUsages.map((index) => EXTENDED_KEY_USAGES[index]?.[0]).join(',')}`]
      : []),
  ];
  const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', `rsa_pss_saltlen:${spec.saltLength}`];
  const { stdout } = openssl([
    ...`req -new -outform DER -key ${keyFile} -utf8 -multivalue-rdn -subj`.split(' '),
    rdns.join('') || '/',
    ...(spec.kind === 'Ed25519' ? [] : [`-${spec.hash}`]),
    ...(isPss(spec) ? pss : []),
    ...extensions.flatMap((extension) => ['-addext', extension]),
  ]);
  return stdout;
}

function madeByUs(spec: Spec): Uint8Array {
  const key = keyOf(spec);
  const subject = seq(
    ...spec.subject.map((rdn) => set(...rdn.map(([type, value]) => seq(oid(ATTRIBUTES[type]), text(value))))),
  );
  const extensions = [
    ...(spec.names.length > 0 ? [san(...spec.names.map(encodeName))] : []),
    ...(spec.isCa ? [basicConstraintsCa] : []),
    ...(spec.keyUsages.length > 0 ? [encodeKeyUsage(spec.keyUsages)] : []),
    ...(spec.extendedKeyUsages.length > 0
      ? [extendedKeyUsage(...spec.extendedKeyUsages.map((index) => EXTENDED_KEY_USAGES[index]?.[0] ?? ''))]
      : []),
  ];
  const info = seq(
    int(0),
    subject,
    spki(key),
    der(0xa0, ...(extensions.length > 0 ? [extensionRequest(...extensions)] : [])),
  );
  const { algorithm, signature } = signAs(spec, key, info);
  return seq(info, algorithm, bits(signature));
}

function encodeName([kind, value]: readonly [string, string]): Uint8Array {
  switch (kind) {
    case 'IP':
      return der(0x87, encodeIp(value));
    case 'RID':
      return der(0x88, oid(value).subarray(2));
    case 'otherName':
      return der(0xa0, oid('1.2.3'), der(0xa0, text(value)));
    default:
      return text(value, { DNS: 0x82, email: 0x81, URI: 0x86 }[kind]);
  }
}

function encodeIp(value: string): Uint8Array {
  if (!value.includes(':')) return Buffer.from(value.split('.').map(Number));
  return Buffer.from(
    value
      .split(':')
      .map((group) => group.padStart(4, '0'))
      .join(''),
    'hex',
  );
}

function encodeKeyUsage(indices: readonly number[]): Uint8Array {
  const flags = indices.reduce((all, bit) => all | (0x8000 >> bit), 0);
  const unused = 31 - Math.clz32(flags & -flags);
  const bytes = Buffer.of(flags >> 8, flags & 0xff).subarray(0, unused >= 8 ? 1 : 2);
  return extension('2.5.29.15', bits(bytes, unused % 8), true);
}

const HASH_OIDS: Readonly<Record<string, string>> = {
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};
const RSA_OIDS: Readonly<Record<string, number>> = { sha1: 5, sha256: 11, sha384: 12, sha512: 13 };
const ECDSA_OIDS: Readonly<Record<string, string>> = { sha1: '1', sha256: '3.2', sha384: '3.3', sha512: '3.4' };

function signAs(spec: Spec, { privateKey: key }: KeyPair, info: Uint8Array) {
  const { hash, saltLength } = spec;
  if (spec.kind === 'Ed25519') return { algorithm: seq(oid('1.3.101.112')), signature: sign(null, info, key) };
  if (!spec.kind.startsWith('RSA')) {
    return { algorithm: seq(oid(`1.2.840.10045.4.${ECDSA_OIDS[hash]}`)), signature: sign(hash, info, key) };
  }
  if (!isPss(spec)) {
    return { algorithm: seq(oid(`1.2.840.113549.1.1.${RSA_OIDS[hash]}`), der(0x05)), signature: sign(hash, info, key) };
  }
  const hashAlgorithm = seq(oid(HASH_OIDS[hash] ?? ''), der(0x05));
  const mask = seq(oid('1.2.840.113549.1.1.8'), hashAlgorithm);
  const parameters = seq(der(0xa0, hashAlgorithm), der(0xa1, mask), der(0xa2, int(saltLength)));
  return {
    algorithm: seq(oid('1.2.840.113549.1.1.10'), parameters),
    signature: sign(hash, info, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }),
  };
}
