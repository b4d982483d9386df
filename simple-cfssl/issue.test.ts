import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Certificate, parseCertificates } from '../src/x509/index.ts';
import { formatTime } from './go/time.ts';
import { issueCertificate } from './issue.ts';
import { SIGN_REQUEST, type SignRequest } from './requests.ts';
import { createConfiguration, createCsr, NOW_MS } from './testing/test-support.ts';
import { BasicConstraintsExtension, Extension, X509Certificate } from './x509-library.ts';

const configuration = await createConfiguration({
  profiles: {
    plain: {},
    words: { usages: ['signing', 'key encipherment', 'what?', 's/mime', 'any'], expiry: '10m', backdate: '1m' },
    fixed: { not_before: '2025-01-01T00:00:00Z', not_after: '2055-01-01T00:00:00Z' },
    urls: {
      ocsp_url: 'http://ocsp',
      crl_url: 'http://crl',
      issuer_urls: ['http://ca'],
      ocsp_no_check: true,
      Policies: [{ ID: '1.2.3' }],
    },
    whitelist: { name_whitelist: String.raw`\.allowed\.example$` },
    ca: { usages: ['cert sign'], ca_constraint: { is_ca: true, max_path_len: 1 } },
    extensions: { allowed_extensions: ['1.2.3.4', '2.5.29.17'] },
    copy: { copy_extensions: true },
    serial: { ClientProvidesSerialNumbers: true },
    csr: { CSRWhitelist: { PublicKey: true, DNSNames: true }, copy_extensions: true },
    keyless: { CSRWhitelist: { DNSNames: true } },
  },
});
const label = configuration.labels.get('intermediate1');
assert.ok(label);
const { authority, policy } = label;
const csr = await createCsr();
const named = await createCsr({
  names: [
    { type: 'url', value: 'spiffe://a/b' },
    { type: 'ip', value: '10.0.0.1' },
    { type: 'id', value: '1.2.3' },
    { type: 'email', value: 'u@a.example' },
    { type: 'dns', value: 'b.example' },
    { type: 'dns', value: 'a.example' },
  ],
});

async function issue(profile: string, request: Partial<SignRequest> = {}): Promise<Certificate & { pem: string }> {
  const found = policy.profiles?.get(profile);
  assert.ok(found);
  const pem = await issueCertificate(
    authority,
    found,
    { ...SIGN_REQUEST.zero, certificate_request: csr, ...request },
    NOW_MS,
  );
  const [certificate] = parseCertificates(pem);
  assert.ok(certificate);
  return certificate;
}

/** Of OpenSSL, since WebCrypto does not have the curve. */
const P224 =
  'MIG1MGYCAQAwDzENMAsGA1UEAwwEcDIyNDBOMBAGByqGSM49AgEGBSuBBAAhAzoABFND3L3KYFQgQwo6lAgeNIHpqQIkvStfVD5ZHlFA/1ClY7fRZVIgvF5MdCqPFyqGpHtBeZkJY1ZFoAAwCgYIKoZIzj0EAwIDPwAwPAIcIjONGvP3yDPP00SMaa8qd6I5mcjF87Y19tJKxgIcBzNm6ZRJ0t5qZxdszQme5pSe0pIT7s74XETbGQ==';

const namesOf = ({ names }: Certificate): string[] => names.map(({ kind, value }) => `${kind} ${value}`);
const validityOf = ({ notBeforeMs, notAfterMs }: Certificate): string[] => [notBeforeMs, notAfterMs].map(formatTime);
const extensionsOf = ({ pem }: Certificate): string[] =>
  Array.from(new X509Certificate(pem).extensions, ({ type, critical }) => `${type}${critical ? ' critical' : ''}`);

const USUAL = ['2.5.29.15 critical', '2.5.29.37', '2.5.29.19 critical', '2.5.29.14', '2.5.29.35'];

describe('issueCertificate', () => {
  test("signs the CSR's key, with a random serial number", async () => {
    const [first, second] = [await issue('plain'), await issue('plain')];
    assert.ok(first.x509.checkIssued(authority.certificate.x509));
    assert.ok(first.x509.verify(authority.certificate.x509.publicKey));
    assert.deepEqual(first.spkiDer, second.spkiDer);
    assert.notEqual(first.serialHex, second.serialHex);
    assert.deepEqual(extensionsOf(first), USUAL);
  });

  test('is valid from the rounded minute less the backdate', async () => {
    assert.deepEqual(validityOf(await issue('plain')), ['2026-11-24T11:55:00Z', '2026-11-24T12:55:00Z']);
    assert.deepEqual(validityOf(await issue('words')), ['2026-11-24T11:59:00Z', '2026-11-24T12:09:00Z']);
    assert.deepEqual(validityOf(await issue('fixed')), ['2025-01-01T00:00:00Z', '2055-01-01T00:00:00Z']);
  });

  test('obeys the times of the request, uncapped', async () => {
    const NotAfter = NOW_MS + 1000;
    assert.deepEqual(validityOf(await issue('fixed', { NotBefore: NOW_MS })), [
      '2026-11-24T12:00:20Z',
      '2055-01-01T00:00:00Z',
    ]);
    assert.deepEqual(validityOf(await issue('fixed', { NotAfter })), ['2025-01-01T00:00:00Z', '2026-11-24T12:00:21Z']);
    assert.deepEqual(validityOf(await issue('plain', { NotBefore: 0, NotAfter: 0 })), [
      '1970-01-01T00:00:00Z',
      '1970-01-01T00:00:00Z',
    ]);
  });

  test('knows the words of usages, and drops others', async () => {
    const certificate = await issue('words');
    assert.deepEqual(certificate.keyUsages, ['digital signature', 'key encipherment']);
    assert.deepEqual(certificate.extendedKeyUsages, ['email protection', 'any']);
  });

  test('sorts the names by kind and drops other kinds', async () => {
    assert.deepEqual(namesOf(await issue('plain', { certificate_request: named })), [
      'dns b.example',
      'dns a.example',
      'email u@a.example',
      'ip 10.0.0.1',
      'uri spiffe://a/b',
    ]);
  });

  test('replaces all names by the hosts', async () => {
    assert.deepEqual(namesOf(await issue('plain', { certificate_request: named, hosts: ['x', '::1'] })), [
      'dns x',
      'ip ::1',
    ]);
    assert.deepEqual(namesOf(await issue('plain', { certificate_request: named, hosts: [] })), []);
  });

  test('makes the names critical when the subject is empty', async () => {
    const request = await createCsr({ subject: '', names: [{ type: 'dns', value: 'a.example' }] });
    assert.deepEqual(extensionsOf(await issue('plain', { certificate_request: request })), [
      ...USUAL,
      '2.5.29.17 critical',
    ]);
  });

  test("writes the profile's URLs and policies, in Go's order", async () => {
    assert.deepEqual(extensionsOf(await issue('urls', { hosts: ['a'] })), [
      ...USUAL,
      '1.3.6.1.5.5.7.1.1',
      '2.5.29.17',
      '2.5.29.31',
      '2.5.29.32',
      '1.3.6.1.5.5.7.48.1.5',
    ]);
  });

  test('makes every certificate of a CA profile a CA, and leaves it its addresses only', async () => {
    const certificate = await issue('ca', { certificate_request: named });
    assert.equal(certificate.isCa, true);
    assert.deepEqual(namesOf(certificate), ['ip 10.0.0.1']);
    assert.equal(new X509Certificate(certificate.pem).getExtension(BasicConstraintsExtension)?.pathLength, 1);
  });

  test('lets CSRs ask for a CA only where the profile and the signer allow it', async () => {
    const ask = async (pathLength?: number) =>
      createCsr({ extensions: [new BasicConstraintsExtension(true, pathLength, true)] });
    await assert.rejects(issue('plain', { certificate_request: await ask() }), { name: 'SigningError' });
    assert.equal((await issue('ca', { certificate_request: await ask(5) })).isCa, true);
    const signWith = async (pathLength: number, asked?: number) => {
      const request = { ...SIGN_REQUEST.zero, certificate_request: await ask(asked) };
      return issueCertificate(
        { ...authority, pathLength },
        policy.profiles?.get('ca') ?? policy.defaultProfile,
        request,
        NOW_MS,
      );
    };
    await assert.rejects(signWith(0), { name: 'SigningError' });
    await assert.rejects(signWith(1, 1), { name: 'SigningError' });
    await signWith(1, 0);
    await signWith(1);
  });

  test('holds common name, DNS names, e-mail and URIs against the whitelist, but no address', async () => {
    const subject = { CN: 'x.allowed.example', names: null, SerialNumber: '' };
    await issue('whitelist', { subject, hosts: ['y.allowed.example', 'u@z.allowed.example', '10.0.0.1'] });
    for (const host of ['other.example', 'u@other.example', 'http://other.example']) {
      await assert.rejects(issue('whitelist', { subject, hosts: [host] }), { name: 'SigningError' });
    }
    await assert.rejects(issue('whitelist', { hosts: [] }), {
      message: '"a.example" does not match the name whitelist',
    });
  });

  test('adds allowed extensions, which win over its own', async () => {
    const extensions = [
      { id: '1.2.3.4', critical: true, value: '0500' },
      { id: '2.5.29.17', critical: false, value: '3003820178' },
    ];
    const certificate = await issue('extensions', { certificate_request: named, extensions });
    assert.deepEqual(extensionsOf(certificate), [...USUAL, '1.2.3.4 critical', '2.5.29.17']);
    assert.deepEqual(namesOf(certificate), ['dns x']);
    await assert.rejects(issue('plain', { extensions }), { message: 'the profile does not allow extension 1.2.3.4' });
    await assert.rejects(issue('extensions', { extensions: [{ id: '1.2.3.4', critical: false, value: 'x' }] }), {
      name: 'SigningError',
    });
  });

  test('copies extensions of the CSR that the CA does not manage', async () => {
    const extensions = [
      new Extension('1.2.3.4', false, Buffer.from('0500', 'hex')),
      new Extension('2.5.29.18', false, Buffer.from('3000', 'hex')),
    ];
    const request = await createCsr({ extensions });
    assert.deepEqual(extensionsOf(await issue('copy', { certificate_request: request })), [...USUAL, '1.2.3.4']);
    assert.deepEqual(extensionsOf(await issue('plain', { certificate_request: request })), USUAL);
  });

  test('lets the client choose the serial number where the profile says so', async () => {
    assert.equal((await issue('serial', { serial: 0x8001n })).serialHex, '8001');
    await assert.rejects(issue('serial'), { message: 'missing serial number in request' });
    await assert.rejects(issue('serial', { serial: -1n }), { name: 'SigningError' });
    assert.notEqual((await issue('plain', { serial: 1n })).serialHex, '1');
  });

  test('takes of the CSR only what its whitelist names', async () => {
    const extension = new Extension('1.2.3.4', false, Buffer.from('0500', 'hex'));
    const names = [
      { type: 'ip', value: '10.0.0.1' },
      { type: 'dns', value: 'b.example' },
    ] as const;
    const request = await createCsr({ names, extensions: [extension] });
    const certificate = await issue('csr', { certificate_request: request });
    assert.deepEqual(certificate.subject, []);
    assert.deepEqual(namesOf(certificate), ['dns b.example']);
    assert.deepEqual(extensionsOf(certificate), [...USUAL, '2.5.29.17 critical']);
    await assert.rejects(issue('keyless'), { name: 'SigningError' });
  });

  test('poisons a precertificate', async () => {
    assert.equal((await issue('plain', { ReturnPrecert: true })).hasCtPoison, true);
  });

  test('overrides the CRL', async () => {
    assert.deepEqual(extensionsOf(await issue('plain', { crl_override: 'http://x' })), [...USUAL, '2.5.29.31']);
  });

  test('reads the first block, whatever stands around it', async () => {
    const text = `hello\n${csr.replaceAll('CERTIFICATE', 'NEW CERTIFICATE').replaceAll('\n', '\r\n')}${named}`;
    assert.deepEqual(namesOf(await issue('plain', { certificate_request: text })), []);
  });

  test('takes a key on P-224 that signed its CSR', async () => {
    const request = (base64: string) =>
      `-----BEGIN CERTIFICATE REQUEST-----\n${base64}\n-----END CERTIFICATE REQUEST-----\n`;
    const certificate = await issue('plain', { certificate_request: request(P224) });
    assert.equal(certificate.x509.publicKey.asymmetricKeyDetails?.namedCurve, 'secp224r1');
    const at = P224.length - 8;
    const forged = `${P224.slice(0, at)}${P224[at] === 'A' ? 'B' : 'A'}${P224.slice(at + 1)}`;
    await assert.rejects(issue('plain', { certificate_request: request(forged) }));
  });

  test('refuses what is no CSR, or is not signed by its key', async () => {
    const der = Buffer.from(csr.replaceAll(/-----.*-----|\n/g, ''), 'base64');
    der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
    const forged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
    const junk = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n';
    for (const text of ['hello', authority.certificate.pem, junk, forged]) {
      await assert.rejects(issue('plain', { certificate_request: text }));
    }
  });

  test("fails with a key that is not the certificate's", async () => {
    const request = { ...SIGN_REQUEST.zero, certificate_request: csr };
    await assert.rejects(issueCertificate({ ...authority, keyFits: false }, policy.defaultProfile, request, NOW_MS), {
      name: 'SigningError',
    });
  });
});
