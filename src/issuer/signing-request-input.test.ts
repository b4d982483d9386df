import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { signingRequest } from '../../test/support/builders.ts';
import { durationMsOf, signingInputOfSigningRequest } from './signing-request-input.ts';

const IS_CA = 'experimental.cert-manager.io/request-is-ca';
const DURATION = 'experimental.cert-manager.io/request-duration';

describe('signingInputOfSigningRequest()', () => {
  test('is the CSR alone when nothing else is asked for', () => {
    const request = signingRequest({ spec: { request: Buffer.from('PEM\n').toString('base64') } });
    assert.deepEqual(signingInputOfSigningRequest(request), { csrPem: 'PEM\n', isCa: false, caNeedsCsr: true });
  });

  test('takes usages and lifetime from the spec, the CA flag from the annotation', () => {
    const request = signingRequest({
      metadata: { annotations: { [IS_CA]: 'true' } },
      spec: { usages: ['client auth'], expirationSeconds: 3600 },
    });
    assert.deepEqual(signingInputOfSigningRequest(request), {
      csrPem: '',
      isCa: true,
      caNeedsCsr: true,
      usages: ['client auth'],
      durationMs: 3_600_000,
    });
  });

  for (const value of ['false', 'True', '1', '']) {
    test(`"${value}" asks for no CA`, () => {
      const request = signingRequest({ metadata: { annotations: { [IS_CA]: value } } });
      assert.equal(signingInputOfSigningRequest(request).isCa, false);
    });
  }
});

describe('durationMsOf()', () => {
  const cases: readonly [annotation: string | undefined, seconds: number | undefined, expected: unknown][] = [
    [undefined, undefined, undefined],
    [undefined, 600, 600_000],
    ['1h', undefined, 3_600_000],
    ['1h', 600, 3_600_000],
    ['an hour', 600, 'unreadable'],
    ['', undefined, 'unreadable'],
  ];
  for (const [annotation, seconds, expected] of cases) {
    test(`annotation ${annotation}, expirationSeconds ${seconds}: ${String(expected)}`, () => {
      const request = signingRequest({
        ...(annotation === undefined ? {} : { metadata: { annotations: { [DURATION]: annotation } } }),
        ...(seconds === undefined ? {} : { spec: { expirationSeconds: seconds } }),
      });
      assert.equal(durationMsOf(request), expected);
    });
  }
});
