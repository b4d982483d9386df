import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, test } from 'node:test';
import { createAuthority, describeAlgorithm } from './authority.ts';
import { createConfiguration } from './testing/test-support.ts';

const configuration = await createConfiguration();
const certificatePem = configuration.labels.get('intermediate1')?.authority.certificate.pem ?? '';

const pem = (key: KeyObject): Buffer => Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }));
const rsa = (modulusLength: number): KeyObject => generateKeyPairSync('rsa', { modulusLength }).privateKey;
const ec = (namedCurve: string): KeyObject => generateKeyPairSync('ec', { namedCurve }).privateKey;

describe('createAuthority', () => {
  const algorithms: readonly (readonly [name: string, key: () => KeyObject])[] = [
    ['SHA1WithRSA', () => rsa(1024)],
    ['SHA256WithRSA', () => rsa(2048)],
    ['SHA384WithRSA', () => rsa(3072)],
    ['ECDSAWithSHA256', () => ec('P-256')],
    ['ECDSAWithSHA384', () => ec('P-384')],
    ['ECDSAWithSHA512', () => ec('P-521')],
    ['Ed25519', () => generateKeyPairSync('ed25519').privateKey],
  ];
  for (const [name, generate] of algorithms) {
    test(`chooses ${name}, and sees that the key is not the certificate's`, () => {
      const authority = createAuthority(certificatePem, pem(generate()));
      assert.equal(describeAlgorithm(authority.algorithm), name);
      assert.equal(authority.keyFits, false);
    });
  }

  test('reads keys in DER too', () => {
    const key = rsa(1024);
    for (const type of ['pkcs1', 'pkcs8'] as const)
      createAuthority(certificatePem, key.export({ type, format: 'der' }));
    createAuthority(certificatePem, ec('P-256').export({ type: 'sec1', format: 'der' }));
  });

  test('refuses keys that it cannot sign with', () => {
    const message = 'unsupported private key type';
    assert.throws(() => createAuthority(certificatePem, pem(ec('secp256k1'))), { name: 'ConfigurationError', message });
    assert.throws(() => createAuthority(certificatePem, Buffer.from('x')), { name: 'ConfigurationError' });
  });
});
