import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { certificateRequest } from '../../test/support/builders.ts';
import { authority, CfsslDouble, issue, NOW_MS, newCsr, readyIssuer } from '../../test/support/signing.ts';
import { dns, san } from '../x509/testing/authority.ts';
import { findIssued } from './issued-already.ts';

const ca = authority('CA');
const otherCa = authority('Other CA');
const csr = newCsr();
const certificatePem = issue(csr, ca);
const caPem = ca.certificate.pem;
const issuer = readyIssuer(new CfsslDouble(), ca);
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const requestWith = (certificate: string | undefined, ca?: string) =>
  certificateRequest({
    spec: { request: csr.base64 },
    status: { ...(certificate === undefined ? {} : { certificate }), ...(ca === undefined ? {} : { ca }) },
  });

describe('findIssued()', () => {
  test("gives the certificate of the request's key that this CA signed", () => {
    assert.deepEqual(findIssued(requestWith(base64(certificatePem), base64(caPem)), issuer, NOW_MS), {
      state: 'Issued',
      certificatePem,
      caPem,
    });
  });

  test('does without a CA certificate if there is none', () => {
    const found = findIssued(requestWith(base64(certificatePem)), issuer, NOW_MS);
    assert.deepEqual(found, { state: 'Issued', certificatePem, caPem: undefined });
  });

  test('knows a CA of the chain too', () => {
    const withChain = readyIssuer(new CfsslDouble(), otherCa, { chain: [ca.certificate] });
    assert.equal(findIssued(requestWith(base64(certificatePem)), withChain, NOW_MS)?.state, 'Issued');
  });

  for (const [what, certificate] of [
    ['nothing', undefined],
    ['an empty text', ''],
    ['rubbish', base64('rubbish')],
    ['what is no base64', '%%%'],
    ["a certificate for another's key", base64(issue(newCsr(), ca))],
    ['a certificate of another CA', base64(issue(csr, otherCa))],
    ['a certificate with other names', base64(issue(csr, ca, { extensions: [san(dns('other.example'))] }))],
    ['a certificate that has expired', base64(issue(csr, ca, { notAfter: '20261124115959Z' }))],
  ] as const) {
    test(`gives nothing for ${what}`, () => {
      assert.equal(findIssued(requestWith(certificate), issuer, NOW_MS), undefined);
    });
  }

  test('gives nothing for a CSR that cannot be read', () => {
    const status = { certificate: base64(certificatePem) };
    assert.equal(findIssued(certificateRequest({ spec: { request: 'AAAA' }, status }), issuer, NOW_MS), undefined);
  });
});
