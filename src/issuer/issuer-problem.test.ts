import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CFSSL_ERRORS, CfsslError, type CfsslErrorCode } from '../cfssl/index.ts';
import { IssuerProblem, type ProblemContext, problemOf } from './issuer-problem.ts';

const context: ProblemContext = { secret: 'team/ca-key', label: 'main', profile: 'server' };

const errorOf = (code: CfsslErrorCode): CfsslError =>
  new CfsslError(code, { action: 'Cannot prove the access', reason: CFSSL_ERRORS[code] });

const network = 'check that CFSSL runs and that spec.url and the network lead to it';
const baseUrl = 'check that spec.url is the base URL of a CFSSL server, without /api/v1/cfssl';
const serverLog = 'see the log and the configuration of the CFSSL server';
const askedAgain = 'see the log of the CFSSL server; it is asked again in a few seconds';

/** One line a code: the reason for machines, and what people are told to do. */
const PROBLEMS: Readonly<Record<CfsslErrorCode, readonly [reason: IssuerProblem['reason'], remedy: string]>> = {
  CFSSL_INVALID_URL: ['InvalidSpec', 'mend spec.url'],
  CFSSL_INVALID_KEY: ['InvalidSecret', 'mend the field "key" of Secret team/ca-key'],
  CFSSL_INVALID_TLS: ['TLSFailed', 'mend the certificates that spec.tls names'],

  CFSSL_UNREACHABLE: ['Unreachable', network],
  CFSSL_TIMEOUT: ['Unreachable', network],
  CFSSL_CONNECTION_LOST: ['Unreachable', network],
  CFSSL_ABORTED: ['Unreachable', network],
  CFSSL_TLS_TRUST: ['TLSFailed', 'check spec.tls against the certificate of the server'],
  CFSSL_CLIENT_NAME_REFUSED: ['TLSFailed', 'check spec.tls against the certificate of the server'],
  CFSSL_WRONG_SCHEME: ['TLSFailed', 'check the scheme (http or https) in spec.url'],

  CFSSL_INVALID_ANSWER: ['NotCFSSL', baseUrl],
  CFSSL_REDIRECT: ['NotCFSSL', baseUrl],
  CFSSL_NOT_FOUND: ['NotCFSSL', baseUrl],
  CFSSL_METHOD_REFUSED: ['NotCFSSL', baseUrl],
  CFSSL_PROXY_LOGIN: ['NotCFSSL', baseUrl],
  CFSSL_FORBIDDEN: ['NotCFSSL', baseUrl],
  CFSSL_REQUEST_TOO_LARGE: ['NotCFSSL', baseUrl],

  CFSSL_INVALID_TOKEN: ['AuthenticationFailed', 'check the field "key" of Secret team/ca-key'],
  CFSSL_UNKNOWN_LABEL: ['UnknownLabel', 'check spec.label ("main") against the labels of the server'],
  CFSSL_UNKNOWN_PROFILE: ['UnknownProfile', 'check spec.profile: the server has no profile "server" for label "main"'],
  CFSSL_NO_AUTH_KEY: ['AuthenticationNotConfigured', 'give profile "server" an auth_key in CFSSL\'s configuration'],
  CFSSL_AUTH_MISMATCH: ['AuthenticationNotConfigured', 'give profile "server" an auth_key in CFSSL\'s configuration'],
  CFSSL_ADDRESS_NOT_ALLOWED: ['AddressNotAllowed', 'add this controller\'s address to the "nets" of label "main"'],

  CFSSL_UNAVAILABLE: ['TemporaryFailure', askedAgain],
  CFSSL_PROXY_UPSTREAM: ['TemporaryFailure', askedAgain],
  CFSSL_CT_LOG: ['TemporaryFailure', askedAgain],
  CFSSL_DATABASE: ['TemporaryFailure', askedAgain],
  CFSSL_SERVER_ERROR: ['TemporaryFailure', askedAgain],

  CFSSL_SIGNER_BROKEN: ['ServerMisconfigured', serverLog],
  CFSSL_SERVER_CERTIFICATES: ['ServerMisconfigured', serverLog],
  CFSSL_SERVER_KEY: ['ServerMisconfigured', serverLog],
  CFSSL_SERIAL_REQUIRED: ['ServerMisconfigured', serverLog],
  CFSSL_POLICY_BROKEN: ['ServerMisconfigured', serverLog],
  CFSSL_BUNDLE_FAILED: ['ServerMisconfigured', serverLog],
  CFSSL_PROXY_KEY: ['ServerMisconfigured', serverLog],
  CFSSL_PROXY_SETUP: ['ServerMisconfigured', serverLog],
  CFSSL_BAD_REQUEST: ['ServerMisconfigured', serverLog],
  CFSSL_EMPTY_CSR: ['ServerMisconfigured', serverLog],
  CFSSL_UNREADABLE_REQUEST: ['ServerMisconfigured', serverLog],
  CFSSL_CSR_REFUSED: ['ServerMisconfigured', serverLog],
  CFSSL_CSR_NOT_ENCODABLE: ['ServerMisconfigured', serverLog],
  CFSSL_EXTENSION_NOT_ALLOWED: ['ServerMisconfigured', serverLog],
  CFSSL_POLICY_VIOLATION: ['ServerMisconfigured', serverLog],
  CFSSL_NAMES_NOT_ALLOWED: ['ServerMisconfigured', serverLog],
  CFSSL_LINT: ['ServerMisconfigured', serverLog],
  CFSSL_UNKNOWN_REFUSAL: ['ServerMisconfigured', serverLog],
};

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

describe('problemOf()', () => {
  for (const code of Object.keys(CFSSL_ERRORS) as CfsslErrorCode[]) {
    const [reason, remedy] = PROBLEMS[code];
    test(`${code}: ${reason}, with what was seen and what to do`, () => {
      const error = errorOf(code);
      const problem = problemOf(error, context);
      assert.ok(problem instanceof IssuerProblem);
      assert.deepEqual(
        { reason: problem.reason, message: problem.message, cause: problem.cause },
        { reason, message: `${sentence(CFSSL_ERRORS[code])}; ${remedy}`, cause: error },
      );
    });
  }

  test('of the profile for CAs: the message names its field', () => {
    const caContext = { ...context, caProfile: 'ca' };
    const unknown = problemOf(errorOf('CFSSL_UNKNOWN_PROFILE'), caContext);
    assert.match(unknown.message, /; check spec.caProfile: the server has no profile "ca" for label "main"$/);
    const refused = problemOf(errorOf('CFSSL_INVALID_TOKEN'), caContext);
    assert.equal(refused.reason, 'AuthenticationFailed');
    assert.match(refused.message, /; give profile "ca" \(spec.caProfile\) the auth_key that spec.profile has$/);
  });

  test('without a profile, the default profile is meant', () => {
    const { message } = problemOf(errorOf('CFSSL_NO_AUTH_KEY'), { ...context, profile: undefined });
    assert.match(message, /; give the default profile an auth_key in CFSSL's configuration$/);
  });

  test('an unknown profile without a profile is a sentence too', () => {
    const { message } = problemOf(errorOf('CFSSL_UNKNOWN_PROFILE'), { ...context, profile: undefined });
    assert.match(message, /; check spec.profile: the server has no default profile for label "main"$/);
  });
});

describe('IssuerProblem', () => {
  test('is printable, whatever the spec has in it', () => {
    const { message } = new IssuerProblem('SecretNotFound', 'Secret team/\u001b[2J\0\n does not exist');
    assert.equal(message, 'Secret team/\\u{1b}[2J\\u{0}\\u{a} does not exist');
  });

  test('is bounded', () => {
    assert.equal(new IssuerProblem('InvalidSpec', 'x'.repeat(100_000)).message.length, 24_001);
  });

  test('shows the beginning of a long label or profile, and the remedy whole', () => {
    const long = { ...context, label: 'l'.repeat(1_024), profile: 'p'.repeat(1_024) };
    const { message } = problemOf(errorOf('CFSSL_UNKNOWN_PROFILE'), long);
    assert.match(message, /the server has no profile "p{200}…" for label "l{200}…"$/);
  });
});
