import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openSequence } from './der.ts';
import { describePublicKey, parsePublicKey } from './public-key.ts';
import { bits, der, int, newKey, oid, seq, spki, withOneMore } from './testing/authority.ts';

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
    ['the smallest negative modulus', rsa(int(0x80), int(3)), 'X509_CONTENT', "the RSA key's modulus is not positive"],
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
  test('an element more in any place of an RSA key', () => {
    const key = seq(int(5), int(3));
    const identifier = seq(oid('1.2.840.113549.1.1.1'), der(0x05));
    const places = [
      ...withOneMore(key).map((changed) => seq(identifier, bits(changed))),
      ...withOneMore(seq(identifier, bits(key))),
    ];
    assert.equal(places.length, 3);
    for (const encoded of places) {
      assert.throws(() => parsePublicKey(openSequence(encoded, 'CSR', 'the key')), {
        code: 'X509_DER',
        message: /follow/,
      });
    }
  });

  for (const [name, encoded, code, state] of rows) {
    test(name, () => {
      const message = `Cannot parse CSR: ${state}`;
      assert.throws(() => parsePublicKey(openSequence(encoded, 'CSR', 'the key')), {
        name: 'X509Error',
        code,
        message,
      });
    });
  }
});

describe('parsePublicKey', () => {
  const parse = (encoded: Uint8Array) => parsePublicKey(openSequence(encoded, 'CSR', 'the key'));

  test('reads type, size and curve', () => {
    const rows = [
      ['RSA-1024', 'RSA 1024', 1024],
      ['RSA-1033', 'RSA 1033', 1033],
      ['RSA-PSS-1024', 'RSA-PSS 1024', 1024],
      ['secp224r1', 'EC P-224', 224],
      ['P-256', 'EC P-256', 256],
      ['P-384', 'EC P-384', 384],
      ['P-521', 'EC P-521', 521],
      ['secp256k1', 'EC 1.3.132.0.10', undefined],
      ['Ed25519', 'Ed25519', undefined],
      ['Ed448', '1.3.101.113', undefined],
    ] as const;
    for (const [kind, description, size] of rows) {
      const publicKey = parse(spki(newKey(kind)));
      assert.deepEqual([describePublicKey(publicKey), publicKey.bits], [description, size]);
    }
  });

  test('counts the bits of the modulus', () => {
    for (const [hex, size] of [
      ['0080', 8],
      ['7f', 7],
      ['01', 1],
      ['008000', 16],
    ] as const) {
      const modulus = der(0x02, Buffer.from(hex, 'hex'));
      const encoded = seq(seq(oid('1.2.840.113549.1.1.1'), der(0x05)), bits(seq(modulus, int(3))));
      assert.equal(parse(encoded).bits, size, hex);
    }
  });
});
