import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toHex } from './bytes.ts';
import { parseCsr, parseCsrDer, verifyCsr } from './csr.ts';
import { encodePem } from './pem.ts';
import {
  attribute,
  basicConstraintsCa,
  bits,
  type CsrParts,
  cn,
  csrDer,
  der,
  dns,
  extendedKeyUsage,
  extension,
  extensionRequest,
  int,
  keyUsage,
  newKey,
  octets,
  oid,
  san,
  seq,
  set,
  signed,
  spki,
  text,
  withOneMore,
} from './testing/authority.ts';

const key = newKey();
const csr = (parts: Partial<CsrParts> = {}) => parseCsrDer(csrDer({ key, ...parts }));
const fails = (code: string, state: string) => ({
  name: 'X509Error',
  code,
  message: `Cannot parse CSR: ${state}`,
  details: { object: 'CSR' },
});

describe('parseCsr', () => {
  test('reads the barest request', () => {
    const parsed = csr();
    assert.deepEqual(
      { ...parsed, der: undefined, spkiDer: undefined, signedDer: undefined, signature: undefined },
      {
        der: undefined,
        version: 0,
        subject: [],
        subjectIsEmpty: true,
        publicKey: { type: 'ec', algorithm: '1.2.840.10045.2.1', curve: 'P-256', bits: 256 },
        spkiDer: undefined,
        names: [],
        requestsCa: false,
        keyUsages: [],
        extendedKeyUsages: [],
        signatureAlgorithm: { name: 'ECDSA-SHA256', scheme: 'ecdsa', hash: 'sha256' },
        signedDer: undefined,
        signature: undefined,
      },
    );
    assert.equal(toHex(parsed.spkiDer), toHex(spki(key)));
    verifyCsr(parsed);
  });

  test('reads PEM with either label, as text and as bytes', () => {
    const pem = encodePem('CERTIFICATE REQUEST', csrDer({ key }));
    for (const label of ['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']) {
      const labelled = pem.replaceAll('CERTIFICATE REQUEST', label);
      assert.equal(encodePem('CERTIFICATE REQUEST', parseCsr(labelled).der), pem);
      assert.equal(encodePem('CERTIFICATE REQUEST', parseCsr(Buffer.from(labelled)).der), pem);
    }
  });

  test('refuses more than one block and other blocks', () => {
    const pem = encodePem('CERTIFICATE REQUEST', csrDer({ key }));
    assert.throws(() => parseCsr(pem + pem), fails('X509_LIMIT', 'it has more than one PEM block'));
    assert.throws(
      () => parseCsr(pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')),
      fails('X509_PEM', 'there is a PEM block "CERTIFICATE", not "CERTIFICATE REQUEST"'),
    );
  });

  test('reads the subject as RDNs of types and values', () => {
    const multiValued = set(seq(oid('2.5.4.11'), text('b')), seq(oid('2.5.4.11'), text('a', 0x13)));
    assert.deepEqual(csr({ subject: seq(cn('x'), multiValued, attribute('1.2.3.4', int(5))) }).subject, [
      [{ type: 'CN', value: 'x' }],
      [
        { type: 'OU', value: 'b' },
        { type: 'OU', value: 'a' },
      ],
      [{ type: '1.2.3.4', value: '#020105' }],
    ]);
  });

  test('reads the SANs and keeps their extension', () => {
    const { names, sanExtension } = csr({ extensions: [extension('2.5.29.17', seq(dns('a.example')), true)] });
    assert.deepEqual(names, [{ kind: 'dns', value: 'a.example' }]);
    assert.equal(sanExtension?.critical, true);
    assert.equal(toHex(sanExtension.value), toHex(seq(dns('a.example'))));
  });

  test('reads the CA flag and the usages', () => {
    const extensions = [basicConstraintsCa, keyUsage(0b1010_0100), extendedKeyUsage('1.3.6.1.5.5.7.3.1', '1.2.3.4')];
    const { requestsCa, keyUsages, extendedKeyUsages } = csr({ extensions });
    assert.deepEqual(
      { requestsCa, keyUsages, extendedKeyUsages },
      {
        requestsCa: true,
        keyUsages: ['digital signature', 'key encipherment', 'cert sign'],
        extendedKeyUsages: ['server auth', '1.2.3.4'],
      },
    );
  });

  test('requests no CA with basicConstraints that do not say so', () => {
    for (const value of [seq(), seq(der(0x01, Buffer.of(0)))]) {
      assert.equal(csr({ extensions: [extension('2.5.29.19', value)] }).requestsCa, false);
    }
  });

  test('takes absent attributes and attributes that it does not know', () => {
    const info = seq(int(0), seq(), spki(key));
    assert.deepEqual(parseCsrDer(signed(info, key)).names, []);
    const challenge = seq(oid('1.2.840.113549.1.9.7'), set(text('secret')));
    assert.deepEqual(csr({ attributes: [challenge, extensionRequest(san(dns('a')))] }).names, [
      { kind: 'dns', value: 'a' },
    ]);
  });
});

/** typescript.md 4.2: every request has a valid signature. */
describe('parseCsr is strict:', () => {
  const sanOf = (...names: readonly Uint8Array[]) => ({ extensions: [san(...names)] });
  const deep = (levels: number): Uint8Array => (levels === 0 ? int(1) : der(0x30, deep(levels - 1)));
  const rows: readonly (readonly [string, Partial<CsrParts>, string, string])[] = [
    [
      'two SAN extensions',
      { extensions: [san(dns('a')), san(dns('b'))] },
      'X509_CONTENT',
      'extension 2.5.29.17 is there twice',
    ],
    [
      'another extension twice',
      { extensions: [extension('1.2.3', int(1)), extension('1.2.3', int(1))] },
      'X509_CONTENT',
      'extension 1.2.3 is there twice',
    ],
    [
      'two extensionRequest attributes',
      { attributes: [extensionRequest(san(dns('a.com'))), extensionRequest(san(dns('evil.com')))] },
      'X509_CONTENT',
      'there are two extensionRequest attributes',
    ],
    [
      'an extensionRequest of two values',
      { attributes: [seq(oid('1.2.840.113549.1.9.14'), set(seq(san(dns('a'))), seq(san(dns('b')))))] },
      'X509_DER',
      '16 bytes follow the extensionRequest',
    ],
    [
      'NUL in a DNS name',
      sanOf(dns('a.com\0.evil')),
      'X509_CONTENT',
      'a DNS name is empty or has characters that it may not have: "a.com\\u{0}.evil"',
    ],
    [
      'a space in a DNS name',
      sanOf(dns('a b')),
      'X509_CONTENT',
      'a DNS name is empty or has characters that it may not have: "a b"',
    ],
    [
      'a non-ASCII DNS name',
      sanOf(dns('é')),
      'X509_CONTENT',
      'a DNS name is empty or has characters that it may not have: "Ã©"',
    ],
    [
      'an empty DNS name',
      sanOf(dns('')),
      'X509_CONTENT',
      'a DNS name is empty or has characters that it may not have: ""',
    ],
    [
      'NUL in an e-mail address',
      sanOf(text('a\0', 0x81)),
      'X509_CONTENT',
      'an e-mail address is empty or has characters that it may not have: "a\\u{0}"',
    ],
    [
      'a newline in a URI',
      sanOf(text('a\n', 0x86)),
      'X509_CONTENT',
      'a URI is empty or has characters that it may not have: "a\\u{a}"',
    ],
    ['an IP address of 5 bytes', sanOf(der(0x87, Buffer.alloc(5))), 'X509_CONTENT', 'an IP address has 5 bytes'],
    ['an empty SAN', sanOf(), 'X509_CONTENT', 'the subjectAltName extension is empty'],
    ['a SAN of an unknown kind', sanOf(der(0x89, Buffer.of(1))), 'X509_CONTENT', 'a subjectAltName has tag 0x89'],
    [
      'a garbage SAN',
      { extensions: [extension('2.5.29.17', Buffer.from('zz'))] },
      'X509_DER',
      'an element is truncated',
    ],
    [
      'bytes after a SAN',
      { extensions: [extension('2.5.29.17', Buffer.concat([seq(dns('a')), int(0)]))] },
      'X509_DER',
      '3 bytes follow the subjectAltName extension',
    ],
    ['an extra field in the request info', { extraField: int(0) }, 'X509_DER', '3 bytes follow the attributes'],
    ['version 7', { version: int(7) }, 'X509_CONTENT', 'the version is 7, not 0'],
    [
      'unused bits in the signature',
      { signature: bits(Buffer.of(0xf0), 4) },
      'X509_DER',
      'the signature has 4 unused bits',
    ],
    [
      'a space in a URI',
      sanOf(text('a b', 0x86)),
      'X509_CONTENT',
      'a URI is empty or has characters that it may not have: "a b"',
    ],
    ['NUL in the subject', { subject: seq(cn('a\0b')) }, 'X509_CONTENT', 'a name attribute contains NUL'],
    [
      'bad UTF-8 in the subject',
      { subject: seq(attribute('2.5.4.3', der(0x0c, Buffer.of(0xff)))) },
      'X509_CONTENT',
      'a string is not utf-8',
    ],
    [
      'a character that its string type has not',
      { subject: seq(attribute('2.5.4.3', text('a@b', 0x13))) },
      'X509_CONTENT',
      '"a@b" does not fit its string type',
    ],
    ['an empty RDN', { subject: seq(set()) }, 'X509_DER', 'a name attribute is missing, not 0x30'],
    [
      'a critical flag of 01',
      { extensions: [seq(oid('1.2.3'), der(0x01, Buffer.of(1)), octets(int(1)))] },
      'X509_DER',
      "an extension's critical flag is no DER BOOLEAN",
    ],
    [
      'a third field in an extension',
      { extensions: [seq(oid('1.2.3'), octets(int(1)), int(1))] },
      'X509_DER',
      '3 bytes follow an extension',
    ],
    [
      'a third field in an attribute',
      { attributes: [seq(oid('1.2.3'), set(), int(1))] },
      'X509_DER',
      "3 bytes follow an attribute's values",
    ],
    [
      'bytes after keyUsage',
      { extensions: [extension('2.5.29.15', Buffer.concat([bits(Buffer.of(0x80), 7), int(1)]))] },
      'X509_DER',
      '3 bytes follow keyUsage',
    ],
    [
      'a third field in basicConstraints',
      { extensions: [extension('2.5.29.19', seq(int(1), int(1)))] },
      'X509_DER',
      "3 bytes follow basicConstraints' pathLenConstraint",
    ],
    [
      'nesting in an attribute nobody reads',
      { attributes: [seq(oid('1.2.3'), set(deep(40)))] },
      'X509_LIMIT',
      'it is nested deeper than 32 levels',
    ],
    [
      'nesting in an otherName',
      sanOf(der(0xa0, oid('1.2.3'), der(0xa0, deep(40)))),
      'X509_LIMIT',
      'it is nested deeper than 32 levels',
    ],
    [
      'BER in an attribute nobody reads',
      { attributes: [seq(oid('1.2.3'), set(Buffer.from('308002010500', 'hex')))] },
      'X509_DER',
      'an element has an indefinite length',
    ],
  ];
  for (const [name, parts, code, state] of rows) {
    test(`refuses ${name}`, () => {
      assert.throws(() => csr(parts), fails(code, state));
    });
  }

  test('refuses trailing bytes, truncation and other lengths than the minimal', () => {
    const good = Buffer.from(csrDer({ key, subject: seq(cn('a')), extensions: [san(dns('a'))] }));
    assert.throws(
      () => parseCsrDer(Buffer.concat([good, int(0)])),
      fails('X509_DER', '3 bytes follow the outer SEQUENCE'),
    );
    for (let length = 0; length < good.length; length += 1) {
      assert.throws(() => parseCsrDer(good.subarray(0, length)), { name: 'X509Error', code: 'X509_DER' });
    }
    assert.equal(good[1], 0x81, 'the outer length has two bytes');
    const padded = Buffer.concat([Buffer.of(0x30, 0x82, 0), good.subarray(2)]);
    assert.throws(() => parseCsrDer(padded), fails('X509_DER', 'an element has a length that is not minimal'));
    const indefinite = Buffer.concat([Buffer.of(0x30, 0x80), good.subarray(3), Buffer.of(0, 0)]);
    assert.throws(() => parseCsrDer(indefinite), fails('X509_DER', 'an element has an indefinite length'));
  });

  test('refuses an element more in any place', () => {
    const good = csrDer({ key, subject: seq(cn('a')), extensions: [san(dns('a')), basicConstraintsCa] });
    const places = withOneMore(good);
    // request, info, subject, RDN, attribute, spki, its algorithm, attributes, attribute, values, extensions, two of
    // them, signature algorithm
    assert.equal(places.length, 14);
    for (const bytes of places) assert.throws(() => parseCsrDer(bytes), { name: 'X509Error' }, toHex(bytes));
  });

  test('refuses more than 256 KiB', () => {
    const pem = encodePem('CERTIFICATE REQUEST', Buffer.alloc(256 * 1024 + 1));
    assert.throws(() => parseCsr(pem), fails('X509_LIMIT', 'a PEM block is too large'));
    assert.throws(() => parseCsr('A'.repeat(10_000_000)), fails('X509_PEM', 'there is no PEM block'));
  });
});
