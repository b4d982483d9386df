import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';

import { createAuthority, issueCertificate } from './authority.ts';
import { createTestCa } from './test-ca.ts';

describe('createTestCa()', () => {
  test('is a root with two intermediates that it has signed', async () => {
    const { root, intermediates } = await createTestCa();
    const rootCertificate = new X509Certificate(root.certificatePem);
    assert.equal(rootCertificate.ca, true);
    assert.equal(rootCertificate.verify(rootCertificate.publicKey), true);

    for (const { certificatePem, keyPem } of [intermediates.intermediate1, intermediates.intermediate2]) {
      const certificate = new X509Certificate(certificatePem);
      assert.equal(certificate.ca, true);
      assert.equal(certificate.checkIssued(rootCertificate), true);
      assert.equal(certificate.verify(rootCertificate.publicKey), true);
      assert.equal(certificate.checkPrivateKey(createPrivateKey(keyPem)), true);
    }
  });
});

describe('issueCertificate()', () => {
  test('for a server carries its names and addresses', async () => {
    const authority = await createAuthority('Test');
    const issued = await issueCertificate(authority, {
      name: 'server',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
    });

    const certificate = new X509Certificate(issued.certificatePem);
    assert.equal(certificate.ca, false);
    assert.equal(certificate.verify(new X509Certificate(authority.certificatePem).publicKey), true);
    assert.equal(certificate.checkPrivateKey(createPrivateKey(issued.keyPem)), true);
    assert.equal(certificate.subjectAltName, 'DNS:localhost, IP Address:127.0.0.1');
  });

  test('for a user carries groups and name, whatever characters they have', async () => {
    const authority = await createAuthority('Test');
    const { certificatePem } = await issueCertificate(authority, {
      name: 'system:serviceaccount:a:b, or "c"',
      groups: ['system:masters', 'x=y+z'],
    });

    const certificate = new X509Certificate(certificatePem);
    assert.deepEqual(
      { ...certificate.toLegacyObject().subject },
      {
        O: ['system:masters', 'x=y+z'],
        CN: 'system:serviceaccount:a:b, or "c"',
      },
    );
    assert.equal(certificate.subjectAltName, undefined);
  });
});
