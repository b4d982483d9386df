import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { CFSSL_ERRORS, CfsslError, type CfsslErrorCode } from './errors.ts';
import { combineErrors, triesNext } from './failover.ts';

function errorOf(code: CfsslErrorCode, maybeProcessed = false): CfsslError {
  return new CfsslError(code, { action: 'a', reason: `reason ${code}`, details: { maybeProcessed, httpStatus: 400 } });
}

/** After these the next endpoint is not asked, even though nothing was signed. */
const FINAL: readonly CfsslErrorCode[] = [
  'CFSSL_ABORTED',
  'CFSSL_REQUEST_TOO_LARGE',
  'CFSSL_EMPTY_CSR',
  'CFSSL_UNREADABLE_REQUEST',
  'CFSSL_CSR_REFUSED',
  'CFSSL_CSR_NOT_ENCODABLE',
  'CFSSL_EXTENSION_NOT_ALLOWED',
  'CFSSL_POLICY_VIOLATION',
  'CFSSL_NAMES_NOT_ALLOWED',
  'CFSSL_LINT',
];

describe('triesNext', () => {
  for (const code of Object.keys(CFSSL_ERRORS) as CfsslErrorCode[]) {
    const isFinal = FINAL.includes(code);
    test(`${code}: ${isFinal ? 'ends the search' : 'the next endpoint is asked'}, unless the outcome is open`, () => {
      assert.equal(triesNext(errorOf(code)), !isFinal);
      assert.equal(triesNext(errorOf(code, true)), false);
    });
  }
});

describe('combineErrors', () => {
  const rows: readonly (readonly [name: string, codes: readonly CfsslErrorCode[], spokesman: CfsslErrorCode])[] = [
    ['one endpoint', ['CFSSL_INVALID_TOKEN'], 'CFSSL_INVALID_TOKEN'],
    ['what ended the search', ['CFSSL_UNREACHABLE', 'CFSSL_BAD_REQUEST', 'CFSSL_CSR_REFUSED'], 'CFSSL_CSR_REFUSED'],
    ['what may be over soon', ['CFSSL_INVALID_TOKEN', 'CFSSL_BAD_REQUEST', 'CFSSL_UNREACHABLE'], 'CFSSL_UNREACHABLE'],
    ['what may be over soon: 429', ['CFSSL_BAD_REQUEST', 'CFSSL_UNAVAILABLE'], 'CFSSL_UNAVAILABLE'],
    ['what may be over soon: dial', ['CFSSL_BAD_REQUEST', 'CFSSL_PROXY_UPSTREAM'], 'CFSSL_PROXY_UPSTREAM'],
    ['the refusal without a reason', ['CFSSL_INVALID_TOKEN', 'CFSSL_BAD_REQUEST'], 'CFSSL_BAD_REQUEST'],
    ['the first of equals', ['CFSSL_UNKNOWN_PROFILE', 'CFSSL_INVALID_TOKEN'], 'CFSSL_UNKNOWN_PROFILE'],
  ];
  for (const [name, codes, spokesman] of rows) {
    test(`speaks for all: ${name}`, () => {
      const attempts = codes.map((code, index) => ({ endpoint: `http://${index}`, error: errorOf(code) }));
      const error = combineErrors('Cannot sign', attempts);
      assert.equal(error.code, spokesman);
      assert.equal(error.details.endpoint, `http://${codes.indexOf(spokesman)}`);
      assert.equal(error.details.httpStatus, 400);
      assert.deepEqual(
        error.details.attempts,
        codes.map((code, index) => ({ endpoint: `http://${index}`, code, reason: `reason ${code}` })),
      );
      const reasons = codes.map((code, index) => `reason ${code} at http://${index}`);
      assert.equal(error.message, `Cannot sign: ${reasons.join('; ')}`);
    });
  }

  test('an endpoint that was left out is told of but does not speak', () => {
    const error = combineErrors('Cannot sign', [
      { endpoint: 'http://a', error: errorOf('CFSSL_TIMEOUT', true), isPast: true },
      { endpoint: 'http://b', error: errorOf('CFSSL_BAD_REQUEST') },
    ]);
    assert.equal(error.code, 'CFSSL_BAD_REQUEST');
    assert.equal(error.details.maybeProcessed, false);
    assert.equal(error.message, 'Cannot sign: reason CFSSL_TIMEOUT at http://a; reason CFSSL_BAD_REQUEST at http://b');
    assert.deepEqual(
      error.details.attempts?.map(({ code }) => code),
      ['CFSSL_TIMEOUT', 'CFSSL_BAD_REQUEST'],
    );
  });
});
