import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CFSSL_ERRORS, type CfsslErrorCode } from '../cfssl/index.ts';
import { type Fault, faultOf } from './fault.ts';

/** One line a code, so that a code that is new or judged anew shows in the diff. */
const VERDICTS: Readonly<Record<CfsslErrorCode, Fault>> = {
  // Found before anything is sent: the issuer's spec or Secret.
  CFSSL_INVALID_URL: 'issuer',
  CFSSL_INVALID_KEY: 'issuer',
  CFSSL_INVALID_TLS: 'issuer',

  // No answer: it may come back by itself, unless the set-up of TLS is wrong.
  CFSSL_UNREACHABLE: 'temporary',
  CFSSL_TIMEOUT: 'temporary',
  CFSSL_CONNECTION_LOST: 'temporary',
  CFSSL_TLS_TRUST: 'issuer',
  CFSSL_WRONG_SCHEME: 'issuer',
  CFSSL_ABORTED: 'temporary',

  // Not CFSSL that answers.
  CFSSL_INVALID_ANSWER: 'temporary',
  CFSSL_REDIRECT: 'issuer',
  CFSSL_NOT_FOUND: 'issuer',
  CFSSL_METHOD_REFUSED: 'issuer',
  CFSSL_PROXY_LOGIN: 'issuer',
  CFSSL_FORBIDDEN: 'issuer',
  CFSSL_REQUEST_TOO_LARGE: 'request',
  CFSSL_UNAVAILABLE: 'temporary',

  // Access and set-up.
  CFSSL_INVALID_TOKEN: 'issuer',
  CFSSL_UNKNOWN_LABEL: 'issuer',
  CFSSL_UNKNOWN_PROFILE: 'issuer',
  CFSSL_NO_AUTH_KEY: 'issuer',
  CFSSL_AUTH_MISMATCH: 'issuer',
  CFSSL_ADDRESS_NOT_ALLOWED: 'issuer',
  CFSSL_CLIENT_NAME_REFUSED: 'issuer',
  CFSSL_SIGNER_BROKEN: 'issuer',
  CFSSL_SERVER_CERTIFICATES: 'issuer',
  CFSSL_SERVER_KEY: 'issuer',
  CFSSL_SERIAL_REQUIRED: 'issuer',
  CFSSL_POLICY_BROKEN: 'issuer',
  CFSSL_BUNDLE_FAILED: 'issuer',
  CFSSL_PROXY_KEY: 'issuer',
  CFSSL_PROXY_SETUP: 'issuer',

  // The request.
  CFSSL_BAD_REQUEST: 'unclear',
  CFSSL_EMPTY_CSR: 'request',
  CFSSL_UNREADABLE_REQUEST: 'request',
  CFSSL_CSR_REFUSED: 'request',
  CFSSL_CSR_NOT_ENCODABLE: 'request',
  CFSSL_EXTENSION_NOT_ALLOWED: 'request',
  CFSSL_POLICY_VIOLATION: 'request',
  CFSSL_NAMES_NOT_ALLOWED: 'request',
  CFSSL_LINT: 'request',

  // Trouble inside the server.
  CFSSL_PROXY_UPSTREAM: 'temporary',
  CFSSL_CT_LOG: 'temporary',
  CFSSL_DATABASE: 'temporary',
  CFSSL_SERVER_ERROR: 'temporary',
  CFSSL_UNKNOWN_REFUSAL: 'temporary',
};

describe('faultOf()', () => {
  for (const code of Object.keys(CFSSL_ERRORS) as CfsslErrorCode[]) {
    test(`${code}: ${VERDICTS[code]}`, () => {
      assert.equal(faultOf(code), VERDICTS[code]);
    });
  }
});
