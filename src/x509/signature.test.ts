import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { describe, test } from 'node:test';
import { parseCsrDer, verifyCsr } from './csr.ts';
import { bits, type CsrParts, cn, csrDer, der, int, newKey, oid, seq, spki, withOneMore } from './testing/authority.ts';

const key = newKey();
const csr = (parts: Partial<CsrParts> = {}) => parseCsrDer(csrDer({ key, ...parts }));

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

  test('takes RSA keys of 1024 to 16384 bits', () => {
    const algorithm = seq(oid('1.2.840.113549.1.1.11'), der(0x05));
    const code = (size: number) => {
      const first = 1 << ((size - 1) % 8);
      const modulus = Buffer.alloc(Math.ceil(size / 8), 1).fill(first, 0, 1);
      const encoded = der(0x02, first < 0x80 ? modulus : Buffer.concat([Buffer.of(0), modulus]));
      const key = seq(seq(oid('1.2.840.113549.1.1.1'), der(0x05)), bits(seq(encoded, int(3))));
      const parsed = csr({ spki: key, algorithm });
      assert.equal(parsed.publicKey.bits, size);
      return () => verifyCsr(parsed);
    };
    for (const size of [1024, 16_384]) assert.throws(code(size), { code: 'X509_SIGNATURE' });
    for (const size of [1023, 16_385]) assert.throws(code(size), { code: 'X509_UNSUPPORTED' });
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

  const PSS = '1.2.840.113549.1.1.10';
  const hashOf = (oidOfHash: string) => seq(oid(oidOfHash), der(0x05));
  const SHA1 = hashOf('1.3.14.3.2.26');
  const SHA256 = hashOf('2.16.840.1.101.3.4.2.1');
  const mgf = (hash: Uint8Array, name = '1.2.840.113549.1.1.8') => der(0xa1, seq(oid(name), hash));
  const salt = (length: number) => der(0xa2, int(length));
  const rsa = newKey('RSA-1024');
  /** Signed with these parameters, and said to be. */
  const pss = (parameters: Uint8Array, hash: string, saltLength: number, key = rsa) => {
    const info = seq(int(0), seq(), spki(key));
    const options = { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
    return parseCsrDer(seq(info, seq(oid(PSS), parameters), bits(sign(hash, info, options))));
  };

  test('takes RSA-PSS with its defaults and with every parameter, from both kinds of RSA key', () => {
    verifyCsr(pss(seq(), 'sha1', 20));
    verifyCsr(pss(seq(der(0xa0, SHA1), mgf(SHA1), salt(20), der(0xa3, int(1))), 'sha1', 20));
    verifyCsr(pss(seq(der(0xa0, SHA256), mgf(SHA256), salt(0)), 'sha256', 0));
    verifyCsr(pss(seq(der(0xa0, SHA256), mgf(SHA256), salt(32)), 'sha256', 32, newKey('RSA-PSS-1024')));
    const { signatureAlgorithm } = pss(seq(der(0xa0, SHA256), mgf(SHA256), salt(32)), 'sha256', 32);
    assert.deepEqual(signatureAlgorithm, { name: 'SHA256-RSAPSS', scheme: 'rsa-pss', hash: 'sha256', saltLength: 32 });
  });

  test('refuses RSA-PSS with another salt than said, or a longer one than the key has room for', () => {
    const state = 'the signature is not that of its key';
    for (const length of [31, 33, 127]) {
      const parameters = seq(der(0xa0, SHA256), mgf(SHA256), salt(length));
      assert.throws(() => verifyCsr(pss(parameters, 'sha256', 32)), cannot('X509_SIGNATURE', state));
    }
  });

  test('refuses the hash that an RSA-PSS key forbids', () => {
    const options = { modulusLength: 1024, hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256' };
    const sha1 = csr({ spki: spki(generateKeyPairSync('rsa-pss', options)), algorithm: seq(oid(PSS), seq()) });
    assert.throws(() => verifyCsr(sha1), cannot('X509_SIGNATURE', 'the signature is not that of its key'));
  });

  test('does not support RSA-PSS with two hashes, another mask, trailer or hash', () => {
    const rows = [
      seq(der(0xa0, SHA256)),
      seq(mgf(SHA256)),
      seq(mgf(SHA1, '1.2.3')),
      seq(der(0xa3, int(2))),
      seq(der(0xa0, hashOf('1.2.3')), mgf(hashOf('1.2.3'))),
    ];
    for (const parameters of rows) {
      const state = `signature algorithm ${PSS} is not supported`;
      assert.throws(() => verifyCsr(pss(parameters, 'sha1', 20)), cannot('X509_UNSUPPORTED', state));
    }
  });

  test('refuses RSA-PSS without parameters and with more than there are', () => {
    assert.throws(() => csr({ algorithm: seq(oid(PSS)) }), { code: 'X509_DER' });
    assert.throws(() => csr({ algorithm: seq(oid(PSS), seq(int(1))) }), { code: 'X509_DER' });
    assert.throws(() => csr({ algorithm: seq(oid(PSS), seq(), int(1)) }), { code: 'X509_DER' });
  });

  test('refuses an element more in any place of the RSA-PSS parameters', () => {
    const places = withOneMore(seq(der(0xa0, SHA256), mgf(SHA256), salt(32), der(0xa3, int(1))));
    assert.equal(places.length, 8);
    for (const parameters of places) {
      assert.throws(() => csr({ algorithm: seq(oid(PSS), parameters) }), { code: 'X509_DER', message: /follow/ });
    }
  });

  test('takes every key and hash of the list', () => {
    const rsaHashes = { sha1: 5, sha256: 11, sha384: 12, sha512: 13 };
    const ecdsaHashes = { sha1: '1', sha256: '3.2', sha384: '3.3', sha512: '3.4' };
    for (const [hash, suffix] of Object.entries(rsaHashes)) {
      for (const parameters of [der(0x05), new Uint8Array()]) {
        verifyCsr(csr({ key: rsa, hash, algorithm: seq(oid(`1.2.840.113549.1.1.${suffix}`), parameters) }));
      }
    }
    for (const [hash, suffix] of Object.entries(ecdsaHashes)) {
      for (const curve of ['P-256', 'P-384', 'P-521']) {
        verifyCsr(csr({ key: newKey(curve), hash, algorithm: seq(oid(`1.2.840.10045.4.${suffix}`)) }));
      }
    }
    verifyCsr(csr({ key: newKey('Ed25519'), hash: null, algorithm: seq(oid('1.3.101.112')) }));
  });

  test('refuses parameters where there are none', () => {
    for (const name of ['1.2.840.10045.4.3.2', '1.3.101.112']) {
      assert.throws(() => csr({ algorithm: seq(oid(name), der(0x05)) }), {
        code: 'X509_DER',
        message: 'Cannot parse CSR: 2 bytes follow the signature algorithm',
      });
    }
  });
});
