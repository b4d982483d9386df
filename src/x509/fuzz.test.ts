/** Whatever comes in, nothing leaves this room but values and X509Error. fast-check prints the seed of a failure. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { parseCertificateDer, parseCertificates } from './certificate.ts';
import { buildChain } from './chain.ts';
import { checkIssued } from './check-issued.ts';
import { parseCsr, parseCsrDer, verifyCsr } from './csr.ts';
import { X509Error } from './errors.ts';
import { encodePem } from './pem.ts';
import {
  attribute,
  authority,
  basicConstraintsCa,
  certificateDer,
  cn,
  csrDer,
  der,
  dns,
  extendedKeyUsage,
  extension,
  keyUsage,
  NOW_MS,
  newKey,
  oid,
  san,
  seq,
  set,
  spki,
  text,
} from './testing/authority.ts';

const RUNS = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 3000) };

/** Runs `action`; only an X509Error with a short, printable message may come out of it. */
function tolerates<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof X509Error)) throw error;
    assert(error.message.length < 1000 && !/\p{Cc}/u.test(error.message), error.message);
    return undefined;
  }
}

const ca = authority('ca');
const key = newKey();
const extensions = [
  san(
    dns('a.example'),
    der(0x87, Buffer.of(10, 0, 0, 1)),
    der(0xa0, oid('1.2.3'), der(0xa0, text('x'))),
    der(0xa4, seq(cn('d'))),
  ),
  keyUsage(0xa4),
  extendedKeyUsage('1.3.6.1.5.5.7.3.1'),
  basicConstraintsCa,
];
const subject = seq(cn('a'), attribute('2.5.4.10', text('o', 0x13)));
const rsaKey = newKey('RSA-1024');
const pssParameters = seq(der(0xa2, der(0x02, Buffer.of(32))));
const CSRS = [
  csrDer({ key, subject, extensions }),
  csrDer({ key: newKey('Ed25519'), hash: null, algorithm: seq(oid('1.3.101.112')), extensions }),
  csrDer({ key: rsaKey, algorithm: seq(oid('1.2.840.113549.1.1.11'), der(0x05)) }),
  csrDer({ key: rsaKey, algorithm: seq(oid('1.2.840.113549.1.1.10'), pssParameters) }),
];
const CERTIFICATES = [certificateDer({ key, issuer: ca, subject, extensions }), ca.certificate.der];
const goodCsr = parseCsrDer(CSRS[0] ?? new Uint8Array());

/** One small change of the bytes at an index: replaced, flipped, removed, repeated or inserted. */
type Mutation = (bytes: Uint8Array) => Uint8Array;
const change = <T>(what: fc.Arbitrary<T>, apply: (bytes: Uint8Array, index: number, what: T) => Uint8Array) =>
  fc.tuple(fc.nat({ max: 5000 }), what).map(
    ([at, value]): Mutation =>
      (bytes) =>
        apply(bytes, at % bytes.length, value),
  );
const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  change(fc.nat({ max: 255 }), (bytes, index, byte) => bytes.with(index, byte)),
  change(fc.nat({ max: 7 }), (bytes, index, bit) => bytes.with(index, (bytes[index] ?? 0) ^ (1 << bit))),
  change(fc.nat({ max: 20 }), (bytes, index, count) => join(bytes.subarray(0, index), bytes.subarray(index + count))),
  change(fc.nat({ max: 40 }), (bytes, index, count) => join(bytes.subarray(0, index + count), bytes.subarray(index))),
  change(fc.uint8Array({ maxLength: 8 }), (bytes, index, more) =>
    join(bytes.subarray(0, index), more, bytes.subarray(index)),
  ),
);
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const mutated = (originals: readonly Uint8Array[]) =>
  fc
    .tuple(fc.constantFrom(...originals), fc.array(mutation, { minLength: 1, maxLength: 3 }))
    .map(([original, mutations]) =>
      mutations.reduce<Uint8Array>(
        (bytes, mutate) => (bytes.length === 0 ? bytes : mutate(bytes)),
        new Uint8Array(original),
      ),
    );

/** Well-formed DER of any shape, biased towards the tags and OIDs that mean something. */
const anyDer = fc.letrec<{ element: Uint8Array; leaf: Uint8Array; node: Uint8Array }>((tie) => ({
  element: fc.oneof({ maxDepth: 5, depthSize: 'small' }, tie('leaf'), tie('node')),
  leaf: fc.oneof(
    fc.constantFrom('2.5.29.17', '2.5.29.15', '2.5.29.19', '2.5.29.37', '1.2.840.113549.1.9.14', '2.5.4.3').map(oid),
    fc
      .tuple(
        fc.constantFrom(1, 2, 3, 4, 5, 6, 12, 18, 19, 20, 22, 23, 24, 28, 30, 0x81, 0x82, 0x86, 0x87, 0x88),
        fc.uint8Array({ maxLength: 20 }),
      )
      .map(([tag, content]) => der(tag, content)),
  ),
  node: fc
    .tuple(fc.constantFrom(0x30, 0x30, 0x30, 0x31, 0xa0, 0xa3, 0xa4, 0xa5), fc.array(tie('element'), { maxLength: 4 }))
    .map(([tag, children]) => der(tag, ...children)),
})).element;

const parseAndVerifyCsr = (bytes: Uint8Array) => {
  const csr = parseCsrDer(bytes);
  verifyCsr(csr);
  return csr;
};

describe('no exception but X509Error from', () => {
  test('mutated CSRs, and no mutation verifies', () => {
    fc.assert(
      fc.property(mutated(CSRS), (bytes) => {
        const csr = tolerates(() => parseAndVerifyCsr(bytes));
        // What still verifies has the signed part of one of the originals: the mutation undid itself
        if (csr !== undefined) {
          assert(CSRS.some((original) => Buffer.compare(parseCsrDer(original).signedDer, csr.signedDer) === 0));
        }
      }),
      RUNS,
    );
  });

  test('mutated certificates', () => {
    fc.assert(
      fc.property(mutated(CERTIFICATES), (bytes) => {
        const certificate = tolerates(() => parseCertificateDer(bytes));
        if (certificate === undefined) return;
        tolerates(() => buildChain([certificate, ca.certificate]));
        checkIssued({ csr: goodCsr, certificate, chain: [ca.certificate], nowMs: NOW_MS });
        checkIssued({ csr: goodCsr, certificate: ca.certificate, chain: [certificate], nowMs: NOW_MS });
      }),
      RUNS,
    );
  });

  test('random bytes and random DER', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), anyDer), (bytes) => {
        tolerates(() => parseAndVerifyCsr(bytes));
        tolerates(() => parseCertificateDer(bytes));
      }),
      RUNS,
    );
  });

  test('random DER in any place of a CSR', () => {
    const slots: readonly ((value: Uint8Array) => Uint8Array)[] = [
      (value) => csrDer({ key, version: value }),
      (value) => csrDer({ key, subject: value }),
      (value) => csrDer({ key, subject: seq(set(seq(oid('2.5.4.3'), value))) }),
      (value) => csrDer({ key, spki: value }),
      (value) =>
        csrDer({ key, spki: seq(seq(oid('1.2.840.113549.1.1.1'), der(0x05)), der(0x03, Buffer.of(0), value)) }),
      (value) => csrDer({ key, spki: seq(seq(oid('1.2.840.10045.2.1'), value), der(0x03, Buffer.of(0, 4))) }),
      (value) => csrDer({ key, attributes: [value] }),
      (value) => csrDer({ key, attributes: [seq(oid('1.2.840.113549.1.9.14'), value)] }),
      (value) => csrDer({ key, extensions: [value] }),
      (value) => csrDer({ key, algorithm: value }),
      (value) => csrDer({ key, algorithm: seq(oid('1.2.840.113549.1.1.10'), value) }),
      (value) => csrDer({ key, signature: value }),
      ...['2.5.29.15', '2.5.29.17', '2.5.29.19', '2.5.29.37'].map(
        (type) => (value: Uint8Array) => csrDer({ key, extensions: [extension(type, value)] }),
      ),
      (value) => csrDer({ key, extensions: [san(value)] }),
    ];
    fc.assert(
      fc.property(fc.constantFrom(...slots), anyDer, (slot, value) => {
        tolerates(() => parseAndVerifyCsr(slot(value)));
      }),
      RUNS,
    );
  });

  test('random DER for a signature of every key type', () => {
    const parsed = CSRS.map(parseCsrDer);
    fc.assert(
      fc.property(fc.constantFrom(...parsed), fc.oneof(anyDer, fc.uint8Array({ maxLength: 300 })), (csr, signature) => {
        assert.throws(() => verifyCsr({ ...csr, signature }), { code: 'X509_SIGNATURE' });
      }),
      { numRuns: 500 },
    );
  });

  test('random text around the pieces of PEM', () => {
    const csrPem = encodePem('CERTIFICATE REQUEST', CSRS[0] ?? new Uint8Array());
    const pieces = [
      csrPem,
      csrPem.slice(0, 100),
      csrPem.slice(100),
      '-----',
      '-----BEGIN ',
      '-----END ',
      'CERTIFICATE',
    ];
    const piece = fc.oneof(fc.constantFrom(...pieces, ' REQUEST', '\n', '\r\n', 'AAAA', '==', '\0'), fc.string());
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (parts) => {
        const pem = parts.join('');
        const csr = tolerates(() => parseCsr(pem));
        if (csr !== undefined) assert.deepEqual(Buffer.from(csr.der), Buffer.from(CSRS[0] ?? []));
        tolerates(() => parseCertificates(pem));
      }),
      RUNS,
    );
  });

  test('spki of every kind under every algorithm', () => {
    const keys = ['P-256', 'P-384', 'P-521', 'secp224r1', 'secp256k1', 'Ed25519', 'Ed448', 'RSA-1024', 'RSA-PSS-1024'];
    const spkis = keys.map((kind) => spki(newKey(kind)));
    const algorithms = ['1.2.840.113549.1.1.11', '1.2.840.10045.4.3.2', '1.3.101.112', '1.2.3'].map((name) =>
      seq(oid(name)),
    );
    const pss = seq(oid('1.2.840.113549.1.1.10'), pssParameters);
    for (const key of spkis) {
      for (const algorithm of [...algorithms, pss]) {
        assert.throws(() => parseAndVerifyCsr(csrDer({ key: newKey(), spki: key, algorithm })), X509Error);
      }
    }
  });
});
