import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
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
} from './test-support.ts';

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
    assert.throws(() => parseCsr(pem + pem), fails('X509_LIMIT', 'there is more than one PEM block'));
    assert.throws(
      () => parseCsr(pem.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')),
      fails('X509_PEM', 'there is a PEM block "CERTIFICATE", not "CERTIFICATE REQUEST"'),
    );
  });

  test('reads the subject as types and values, whatever the grouping', () => {
    const multiValued = set(seq(oid('2.5.4.11'), text('b')), seq(oid('2.5.4.11'), text('a', 0x13)));
    assert.deepEqual(csr({ subject: seq(cn('x'), multiValued, attribute('1.2.3.4', int(5))) }).subject, [
      { type: 'CN', value: 'x' },
      { type: 'OU', value: 'b' },
      { type: 'OU', value: 'a' },
      { type: '1.2.3.4', value: '#020105' },
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

describe('verifyCsr', () => {
  const cannot = (code: string, state: string | RegExp) => ({
    name: 'X509Error',
    code,
    message: typeof state === 'string' ? `Cannot verify CSR: ${state}` : state,
  });

  test('refuses a signature of other bytes and of another key', () => {
    const foreign = csrDer({ key, signature: bits(sign('sha256', Buffer.from('x'), key.privateKey)) });
    const state = 'the signature is not that of its key';
    assert.throws(() => verifyCsr(parseCsrDer(foreign)), cannot('X509_SIGNATURE', state));
    assert.throws(() => verifyCsr(csr({ spki: spki(newKey()) })), cannot('X509_SIGNATURE', state));
  });

  test('refuses every flipped bit of the signed part', () => {
    const good = csr({ subject: seq(cn('a')) });
    const at = Buffer.from(good.der).indexOf(good.signedDer);
    for (let bit = 0; bit < good.signedDer.length * 8; bit += 7) {
      const bytes = Uint8Array.from(good.der);
      bytes[at + (bit >> 3)] = (bytes[at + (bit >> 3)] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => verifyCsr(parseCsrDer(bytes)), { name: 'X509Error' });
    }
  });

  test('refuses an algorithm of another key type', () => {
    const algorithm = seq(oid('1.2.840.113549.1.1.11'), der(0x05));
    const state = 'signature algorithm SHA256-RSA does not fit the key EC P-256';
    assert.throws(() => verifyCsr(csr({ algorithm })), cannot('X509_SIGNATURE', state));
  });

  test('does not support MD5, SHA-224 and algorithms that it does not know', () => {
    for (const name of ['1.2.840.113549.1.1.4', '1.2.840.10045.4.3.1', '1.2.3']) {
      const state = `signature algorithm ${name} is not supported`;
      assert.throws(() => verifyCsr(csr({ algorithm: seq(oid(name)) })), cannot('X509_UNSUPPORTED', state));
    }
  });

  test('does not support other keys, but reads them', () => {
    const rows = [
      [newKey('secp224r1'), { type: 'ec', curve: 'P-224', bits: 224 }, 'keys EC P-224 are not supported'],
      [newKey('secp256k1'), { type: 'ec', curve: '1.3.132.0.10' }, 'keys EC 1.3.132.0.10 are not supported'],
      [newKey('RSA-512'), { type: 'rsa', bits: 512 }, 'keys RSA 512 are not supported'],
      [newKey('Ed448'), { type: 'other' }, 'keys 1.3.101.113 are not supported'],
    ] as const;
    for (const [other, expected, state] of rows) {
      const parsed = csr({ spki: spki(other) });
      const { algorithm: _, ...publicKey } = parsed.publicKey;
      assert.deepEqual(publicKey, expected);
      assert.throws(() => verifyCsr(parsed), cannot('X509_UNSUPPORTED', state));
    }
  });

  test('does not support explicit curves', () => {
    const explicit = seq(seq(oid('1.2.840.10045.2.1'), seq(int(1))), bits(Buffer.of(4)));
    assert.throws(
      () => verifyCsr(csr({ spki: explicit })),
      cannot('X509_UNSUPPORTED', 'keys EC explicit are not supported'),
    );
  });

  test('refuses a point off its curve', () => {
    const curve = seq(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7'));
    const offCurve = seq(curve, bits(Buffer.concat([Buffer.of(4), Buffer.alloc(64, 1)])));
    assert.throws(() => verifyCsr(csr({ spki: offCurve })), cannot('X509_CONTENT', 'its public key is not valid'));
  });
});

describe('parsePublicKey refuses', () => {
  const rsa = (modulus: Uint8Array, exponent: Uint8Array, parameters = der(0x05)) =>
    seq(seq(oid('1.2.840.113549.1.1.1'), parameters), bits(seq(modulus, exponent)));
  const ec = (point: Uint8Array) => seq(seq(oid('1.2.840.10045.2.1'), oid('1.2.840.10045.3.1.7')), bits(point));
  const rows: readonly (readonly [string, Uint8Array, string, string])[] = [
    ['a compressed point', ec(Buffer.alloc(33, 2)), 'X509_CONTENT', 'the key is no uncompressed point of P-256'],
    ['a short point', ec(Buffer.alloc(64, 4)), 'X509_CONTENT', 'the key is no uncompressed point of P-256'],
    [
      'an RSA key without NULL',
      rsa(int(5), int(3), new Uint8Array()),
      'X509_DER',
      "the RSA key's parameters is missing, not 0x05",
    ],
    ['a negative modulus', rsa(int(0x85), int(3)), 'X509_CONTENT', "the RSA key's modulus is not positive"],
    ['modulus zero', rsa(int(0), int(3)), 'X509_CONTENT', "the RSA key's modulus is not positive"],
    ['exponent 1', rsa(int(5), int(1)), 'X509_CONTENT', "the RSA key's exponent is 1"],
    ['exponent 4', rsa(int(5), int(4)), 'X509_CONTENT', "the RSA key's exponent is 4"],
    [
      'a huge exponent',
      rsa(int(5), der(0x02, Buffer.alloc(300, 5))),
      'X509_CONTENT',
      "the RSA key's exponent is out of range",
    ],
    [
      'an Ed25519 key of 31 bytes',
      seq(seq(oid('1.3.101.112')), bits(Buffer.alloc(31))),
      'X509_CONTENT',
      'the Ed25519 key has 31 bytes',
    ],
    [
      'Ed25519 with parameters',
      seq(seq(oid('1.3.101.112'), der(0x05)), bits(Buffer.alloc(32))),
      'X509_DER',
      '2 bytes follow the Ed25519 algorithm',
    ],
  ];
  for (const [name, key, code, state] of rows) {
    test(name, () => assert.throws(() => csr({ spki: key }), fails(code, state)));
  }
});
