import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assert as assertProperty, option, property, string } from 'fast-check';

import { buildAuthenticatedRequest, buildInfoRequest, buildProbeRequest, buildSignRequest } from './requests.ts';
import { createToken, parseAuthKey } from './token.ts';

const CSR = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n';

describe('buildSignRequest', () => {
  test('is byte for byte the request of vector V1', () => {
    assert.equal(
      buildSignRequest({ label: 'primary', profile: 'server' }, { csrPem: CSR }).toString('base64'),
      'eyJjZXJ0aWZpY2F0ZV9yZXF1ZXN0IjoiLS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS1cbkFBQUFcbi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLVxuIiwibGFiZWwiOiJwcmltYXJ5IiwicHJvZmlsZSI6InNlcnZlciJ9',
    );
  });

  test('is byte for byte the request of vector V2', () => {
    assert.equal(
      buildSignRequest({ label: 'intermediate1', profile: 'server-short' }, { csrPem: 'x', bundle: true }).toString(),
      '{"certificate_request":"x","label":"intermediate1","profile":"server-short","bundle":true}',
    );
  });

  test('leaves out what is not asked for', () => {
    const bare = '{"certificate_request":"x","label":""}';
    assert.equal(buildSignRequest({ label: '' }, { csrPem: 'x' }).toString(), bare);
    assert.equal(buildSignRequest({ label: '', profile: '' }, { csrPem: 'x', bundle: false }).toString(), bare);
    const absent = { notBeforeMs: undefined, notAfterMs: undefined, sanExtension: undefined, bundle: undefined };
    assert.equal(buildSignRequest({ label: '', profile: undefined }, { csrPem: 'x', ...absent }).toString(), bare);
  });

  test('sends validity and SAN extension in the spelling that multirootca reads', () => {
    const request = buildSignRequest(
      { label: 'l' },
      {
        csrPem: 'x',
        notBeforeMs: Date.UTC(2026, 10, 24, 16, 36, 0, 999),
        notAfterMs: Date.UTC(2026, 11, 24, 16, 36),
        sanExtension: { critical: true, value: Uint8Array.of(0x30, 0x00, 0xff) },
      },
    );
    assert.deepEqual(JSON.parse(request.toString()), {
      certificate_request: 'x',
      label: 'l',
      NotBefore: '2026-11-24T16:36:00Z',
      NotAfter: '2026-12-24T16:36:00Z',
      extensions: [{ id: '2.5.29.17', critical: true, value: '3000ff' }],
    });
  });
});

describe('buildProbeRequest', () => {
  test('holds an empty CSR, whatever label and profile are', () => {
    assertProperty(
      property(string({ unit: 'binary' }), option(string(), { nil: undefined }), (label, profile) => {
        const text = buildProbeRequest({ label, profile }).toString();
        const { certificate_request: csr, ...rest } = JSON.parse(text) as Record<string, unknown>;
        assert.equal(csr, '');
        assert.deepEqual(rest, { label, ...(profile ? { profile } : {}) });
        // Go takes the last of equal keys, in any letter case: there must be no second one.
        assert.ok(text.startsWith('{"certificate_request":"","label":'));
        assert.deepEqual(Object.keys(rest), profile ? ['label', 'profile'] : ['label']);
      }),
    );
  });

  test('has no parameter that could bring a CSR in', () => {
    const intruder = { label: 'l', csrPem: CSR, certificate_request: CSR };
    assert.equal(buildProbeRequest(intruder).toString(), '{"certificate_request":"","label":"l"}');
  });
});

describe('buildInfoRequest', () => {
  test('names label and profile', () => {
    assert.equal(buildInfoRequest({ label: 'l', profile: 'p' }).toString(), '{"label":"l","profile":"p"}');
    assert.equal(buildInfoRequest({ label: '' }).toString(), '{"label":""}');
  });
});

describe('buildAuthenticatedRequest', () => {
  test('authenticates the very bytes that it carries', () => {
    const key = parseAuthKey('000102030405060708090a0b0c0d0e0f');
    const request = buildSignRequest({ label: 'primary', profile: 'server' }, { csrPem: CSR });
    const outer = JSON.parse(buildAuthenticatedRequest(request, { key }).toString()) as Record<string, string>;
    assert.deepEqual(Object.keys(outer), ['token', 'request']);
    assert.equal(outer['token'], 'bAYDM6SjlF/FB4Ollp0DENHUcLuHz+jpO+w3SHCPFqQ=');
    assert.deepEqual(Buffer.from(outer['request'] ?? '', 'base64'), request);
  });

  test('covers the additional data, which is not sent', () => {
    const key = parseAuthKey('00ff');
    const request = Buffer.from('{}');
    const additionalData = Uint8Array.of(0, 1, 2);
    const outer = JSON.parse(buildAuthenticatedRequest(request, { key, additionalData }).toString()) as unknown;
    assert.deepEqual(outer, { token: createToken(key, request, additionalData), request: 'e30=' });
  });
});
