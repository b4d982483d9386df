import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { buildBundle } from './bundle.ts';
import { issueCertificate } from './issue.ts';
import { SIGN_REQUEST } from './requests.ts';
import { createConfiguration, createCsr, NOW_MS } from './testing/test-support.ts';

const configuration = await createConfiguration({ bundle: true });
const label = configuration.labels.get('intermediate1');
assert.ok(label && configuration.bundler);
const { bundler } = configuration;
const { authority, policy, root } = label;
const request = {
  ...SIGN_REQUEST.zero,
  certificate_request: await createCsr({ subject: 'O=x, CN=a.example', names: [{ type: 'dns', value: 'b.example' }] }),
};
const certificate = await issueCertificate(authority, policy.defaultProfile, request, NOW_MS);
const plain = { profile: { ocspUrl: '', crlUrl: '' }, signature: 'ECDSAWithSHA256' };
const withOcsp = { ...plain, profile: { ocspUrl: 'http://ocsp', crlUrl: 'http://crl' } };

describe('buildBundle', () => {
  test('gives the chain without its root, the root, and what is known of the leaf', () => {
    assert.deepEqual(buildBundle(bundler, certificate, plain), {
      bundle: certificate + authority.certificate.pem.trim(),
      crl_support: false,
      crt: certificate.trim(),
      expires: '2026-11-24T12:55:00Z',
      hostnames: ['a.example', 'b.example'],
      issuer: '/CommonName=simple-cfssl Intermediate 1',
      key: '',
      key_size: 256,
      key_type: '256-bit ECDSA',
      leaf_expires: '2026-11-24T12:55:00Z',
      ocsp: null,
      ocsp_support: false,
      root: root?.pem.trim(),
      signature: 'ECDSAWithSHA256',
      status: { rebundled: false, expiring_SKIs: [], untrusted_root_stores: [], messages: [], code: 0 },
      subject: '/Organization=x/CommonName=a.example',
    });
  });

  test('takes an intermediate for the root when it is configured as one', () => {
    const { bundle, root: top } = buildBundle({ ...bundler, roots: [authority.certificate] }, certificate, plain);
    assert.deepEqual([bundle, top], [certificate.trim(), authority.certificate.pem.trim()]);
  });

  test('keeps the root where OCSP wants an issuer and there is no other', () => {
    const { bundle, ocsp, crl_support } = buildBundle(
      { ...bundler, roots: [authority.certificate] },
      certificate,
      withOcsp,
    );
    assert.deepEqual(
      [bundle, ocsp, crl_support],
      [certificate + authority.certificate.pem.trim(), ['http://ocsp'], true],
    );
    assert.equal(buildBundle(bundler, certificate, withOcsp).bundle, buildBundle(bundler, certificate, plain).bundle);
  });

  test('fails without a way to a root', () => {
    assert.throws(() => buildBundle({ ...bundler, roots: [] }, certificate, plain), {
      message: 'certificate signed by unknown authority',
    });
  });
});
