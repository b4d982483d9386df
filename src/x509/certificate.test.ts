import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { isIssuedBy, parseCertificateDer, parseCertificates } from './certificate.ts';
import { X509Error } from './errors.ts';
import { encodePem } from './pem.ts';
import {
  attribute,
  authority,
  basicConstraintsCa,
  type CertificateParts,
  certificate,
  certificateDer,
  cn,
  der,
  dns,
  extendedKeyUsage,
  extension,
  int,
  keyUsage,
  NOW_MS,
  newKey,
  oid,
  san,
  seq,
  spki,
  text,
  withOneMore,
} from './testing/authority.ts';

const key = newKey();

describe('parseCertificates', () => {
  test('reads every field', () => {
    const bytes = certificateDer({
      key,
      subject: seq(attribute('2.5.4.10', text('B')), cn('a')),
      serial: der(0x02, Buffer.from('00f0', 'hex')),
      extensions: [san(dns('a')), keyUsage(0x80), extendedKeyUsage('1.3.6.1.5.5.7.3.2')],
    });
    const pem = encodePem('CERTIFICATE', bytes);
    const [parsed] = parseCertificates(`a root\n${pem.trim()}`);
    assert(parsed !== undefined);
    const { x509, ...fields } = parsed;
    const subject = seq(attribute('2.5.4.10', text('B')), cn('a'));
    const plain = Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [name, value instanceof Uint8Array ? Buffer.from(value) : value]),
    );
    assert.deepEqual(plain, {
      pem,
      der: bytes,
      version: 3,
      serialHex: 'f0',
      sha256Hex: createHash('sha256').update(bytes).digest('hex'),
      subject: [[{ type: 'O', value: 'B' }], [{ type: 'CN', value: 'a' }]],
      subjectText: 'CN=a,O=B',
      subjectDer: subject,
      issuerDer: subject,
      notBeforeMs: NOW_MS - 3_600_000,
      notAfterMs: NOW_MS + 3_600_000,
      names: [{ kind: 'dns', value: 'a' }],
      spkiDer: spki(key),
      isCa: false,
      hasBasicConstraints: false,
      keyUsages: ['digital signature'],
      extendedKeyUsages: ['client auth'],
      hasCtPoison: false,
      isSelfSigned: false,
    });
    assert.equal(x509.raw.equals(bytes), true);
  });

  test('reads several blocks in their order', () => {
    const pems = ['a', 'b'].map((name) => encodePem('CERTIFICATE', certificateDer({ key, subject: seq(cn(name)) })));
    assert.deepEqual(
      parseCertificates(pems.join('\n')).map(({ pem }) => pem),
      pems,
    );
  });

  test('reads version 1, CT poison and serial zero', () => {
    const poison = extension('1.3.6.1.4.1.11129.2.4.3', der(0x05), true);
    assert.equal(certificate({ key, version: 1 }).version, 1);
    assert.equal(certificate({ key, extensions: [poison] }).hasCtPoison, true);
    assert.equal(certificate({ key, serial: int(0) }).serialHex, '0');
  });

  test('passes over unique identifiers', () => {
    const uniqueIds = Buffer.concat([der(0x81, Buffer.of(0, 1)), der(0x82, Buffer.of(0, 2))]);
    assert.deepEqual(certificate({ key, uniqueIds, extensions: [san(dns('a'))] }).names, [{ kind: 'dns', value: 'a' }]);
  });

  const rows: readonly (readonly [string, Partial<CertificateParts>, string, string])[] = [
    ['version 4', { version: 4 }, 'X509_CONTENT', 'the version is 4'],
    ['a negative serial', { serial: int(0x80) }, 'X509_CONTENT', 'the serial number is negative'],
    [
      'two different algorithms',
      { innerAlgorithm: seq(oid('1.2.3')) },
      'X509_CONTENT',
      'the two signature algorithms differ',
    ],
    [
      'extensions in version 1',
      { version: 1, extensions: [basicConstraintsCa] },
      'X509_DER',
      '21 bytes follow the last field',
    ],
    [
      'an extension twice',
      { extensions: [basicConstraintsCa, basicConstraintsCa] },
      'X509_CONTENT',
      'extension 2.5.29.19 is there twice',
    ],
    ['a bad time', { notAfter: '2026' }, 'X509_CONTENT', 'notAfter is no time of RFC 5280'],
  ];
  for (const [name, parts, code, state] of rows) {
    test(`refuses ${name}`, () => {
      assert.throws(() => certificate({ key, ...parts }), {
        name: 'X509Error',
        code,
        message: `Cannot parse certificate: ${state}`,
        details: { object: 'certificate' },
      });
    });
  }

  test('refuses an element more in any place', () => {
    const places = withOneMore(certificateDer({ key, subject: seq(cn('a')), extensions: [san(dns('a'))] }));
    const messages = places.map((bytes) => {
      try {
        return parseCertificateDer(bytes).subjectText;
      } catch (error) {
        assert(error instanceof X509Error);
        return error.message;
      }
    });
    assert.equal(messages.filter((message) => message.startsWith('Cannot parse certificate: ')).length, 17);
    // OpenSSL reads the issuer's name (3 of the places) and the public key (2)
    assert.equal(messages.filter((message) => message.endsWith('OpenSSL refuses it')).length, 5);
  });

  test('refuses what follows and what is cut off', () => {
    const bytes = certificateDer({ key });
    assert.throws(() => parseCertificateDer(Buffer.concat([bytes, int(0)])), {
      code: 'X509_DER',
      message: 'Cannot parse certificate: 3 bytes follow the outer SEQUENCE',
    });
    for (let length = 0; length < bytes.length; length += 1) {
      assert.throws(() => parseCertificateDer(bytes.subarray(0, length)), { code: 'X509_DER' });
    }
  });
});

describe('isIssuedBy', () => {
  const ca = authority('ca');
  const leaf = certificate({ key, issuer: ca });

  test('needs the name, the signature and the right to sign', () => {
    const sameKey = (parts: Partial<CertificateParts>) => authority('ca', { key: ca.key, ...parts }).certificate;
    const rows = [
      ['its CA', ca.certificate, true],
      ['a CA of the same name', authority('ca').certificate, false],
      ['a CA of the same key', authority('cb', { key: ca.key }).certificate, false],
      ['no basicConstraints in version 3', sameKey({ extensions: [] }), false],
      ['no basicConstraints in version 1', sameKey({ extensions: [], version: 1 }), true],
      ['basicConstraints without cA', sameKey({ extensions: [extension('2.5.29.19', seq())] }), false],
      ['cert sign among the usages', sameKey({ extensions: [basicConstraintsCa, keyUsage(0b0000_0110)] }), true],
      ['usages without cert sign', sameKey({ extensions: [basicConstraintsCa, keyUsage(0b1000_0000)] }), false],
    ] as const;
    for (const [name, issuer, expected] of rows) assert.equal(isIssuedBy(leaf, issuer), expected, name);
  });

  test('is false for a key that nobody knows', () => {
    const unknownKey = seq(seq(oid('1.2.3')), der(0x03, Buffer.of(0, 1)));
    const bytes = Buffer.from(ca.certificate.der);
    const at = bytes.indexOf(ca.certificate.spkiDer);
    // As many bytes as the key had, so that no length changes
    const filler = seq(
      seq(oid('1.2.3')),
      der(0x03, Buffer.alloc(ca.certificate.spkiDer.length - unknownKey.length + 2)),
    );
    filler.forEach((byte, index) => {
      bytes[at + index] = byte;
    });
    assert.equal(filler.length, ca.certificate.spkiDer.length);
    assert.equal(isIssuedBy(leaf, parseCertificateDer(bytes)), false);
  });

  test('makes a root self-signed, and no leaf', () => {
    assert.equal(ca.certificate.isSelfSigned, true);
    assert.equal(certificate({ key }).isSelfSigned, false);
    assert.equal(leaf.isSelfSigned, false);
  });
});
