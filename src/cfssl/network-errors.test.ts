import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { TimeoutError } from '../platform/index.ts';

import { AnswerTooLongError, classifyNetworkError, networkError } from './network-errors.ts';

function errorOf(code: string, fields: { message?: string; reason?: string; name?: string } = {}): Error {
  const { message = code, ...rest } = fields;
  return Object.assign(new Error(message), code === '' ? rest : { code, ...rest });
}

const OPENSSL = '40AD815A1F7F0000:error:0A00010B:SSL routines:f:wrong version number:../deps/x.c:77:';

interface Row {
  readonly name: string;
  readonly error: Error;
  readonly before: readonly [code: string, reason: string];
  /** Absent: cannot come after the request was written. */
  readonly after?: readonly [code: string, maybeProcessed: boolean];
}

const unreachable = 'the server cannot be reached';
const trust = 'TLS failed: the server or our client certificate is not trusted';
const scheme = 'the URL says http where the server speaks https, or the reverse';

const ROWS: readonly Row[] = [
  {
    name: 'connection refused',
    error: errorOf('ECONNREFUSED', { message: 'connect ECONNREFUSED 10.0.0.1:8888' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (ECONNREFUSED)`],
  },
  {
    name: 'connection refused at all addresses of a name',
    error: Object.assign(new AggregateError([new Error('a'), new Error('b')]), { code: 'ECONNREFUSED' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (ECONNREFUSED)`],
  },
  {
    name: 'connection reset',
    error: errorOf('ECONNRESET', { message: 'read ECONNRESET' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (ECONNRESET)`],
    after: ['CFSSL_CONNECTION_LOST', true],
  },
  {
    name: 'DNS, no such name',
    error: errorOf('ENOTFOUND', { message: 'getaddrinfo ENOTFOUND ca.example' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (ENOTFOUND)`],
  },
  {
    name: 'DNS, no answer',
    error: errorOf('EAI_AGAIN', { message: 'getaddrinfo EAI_AGAIN ca.example' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (EAI_AGAIN)`],
  },
  {
    name: 'no route',
    error: errorOf('EHOSTUNREACH'),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (EHOSTUNREACH)`],
  },
  {
    name: 'connect timeout',
    error: errorOf('UND_ERR_CONNECT_TIMEOUT', { message: 'Connect Timeout Error (attempted address: ca:1)' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (UND_ERR_CONNECT_TIMEOUT)`],
  },
  {
    name: 'timeout',
    error: new TimeoutError(10_000),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (10000 ms)`],
    after: ['CFSSL_TIMEOUT', true],
  },
  {
    name: 'empty answer',
    error: errorOf('UND_ERR_SOCKET', { message: 'other side closed', name: 'SocketError' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (UND_ERR_SOCKET)`],
    after: ['CFSSL_CONNECTION_LOST', true],
  },
  {
    name: 'TLS: unknown CA',
    error: errorOf('UNABLE_TO_VERIFY_LEAF_SIGNATURE', {
      message: 'unable to verify the first certificate; if the root CA is installed locally, try …',
    }),
    before: ['CFSSL_TLS_TRUST', `${trust} (unable to verify the first certificate)`],
  },
  ...[
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'INVALID_CA',
  ].map(
    (code): Row => ({
      name: `TLS: unknown CA, ${code}`,
      error: errorOf(code, { message: 'as OpenSSL says' }),
      before: ['CFSSL_TLS_TRUST', `${trust} (as OpenSSL says)`],
    }),
  ),
  {
    name: 'TLS: wrong name',
    error: errorOf('ERR_TLS_CERT_ALTNAME_INVALID', {
      message: "Hostname/IP does not match certificate's altnames: Host: a. is not in the cert's altnames: DNS:b",
      reason: "Host: a. is not in the cert's altnames: DNS:b",
    }),
    before: ['CFSSL_TLS_TRUST', `${trust} (Host: a. is not in the cert's altnames: DNS:b)`],
  },
  {
    name: 'TLS: expired',
    error: errorOf('CERT_HAS_EXPIRED', { message: 'certificate has expired' }),
    before: ['CFSSL_TLS_TRUST', `${trust} (certificate has expired)`],
  },
  {
    name: 'TLS: client certificate required, TLS 1.2',
    error: errorOf('ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE', { reason: 'ssl/tls alert handshake failure' }),
    before: ['CFSSL_TLS_TRUST', `${trust} (ssl/tls alert handshake failure)`],
  },
  {
    name: 'TLS: client certificate required, TLS 1.3, where the alert shows on first read',
    error: errorOf('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', { reason: 'tlsv13 alert certificate required' }),
    before: ['CFSSL_TLS_TRUST', `${trust} (tlsv13 alert certificate required)`],
    after: ['CFSSL_TLS_TRUST', false],
  },
  ...['BAD_CERTIFICATE', 'UNKNOWN_CA', 'CERTIFICATE_EXPIRED', 'UNSUPPORTED_CERTIFICATE', 'ACCESS_DENIED'].map(
    (alert): Row => ({
      name: `TLS: client certificate refused, ${alert}`,
      error: errorOf(`ERR_SSL_SSL/TLS_ALERT_${alert}`, { reason: 'as OpenSSL says' }),
      before: ['CFSSL_TLS_TRUST', `${trust} (as OpenSSL says)`],
      after: ['CFSSL_TLS_TRUST', false],
    }),
  ),
  {
    name: 'TLS: an alert that says nothing about the client certificate',
    error: errorOf('ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', { reason: 'tlsv1 alert internal error' }),
    before: ['CFSSL_TLS_TRUST', `${trust} (tlsv1 alert internal error)`],
    after: ['CFSSL_CONNECTION_LOST', true],
  },
  {
    name: 'TLS record error: https URL on a plain port',
    error: errorOf('ERR_SSL_WRONG_VERSION_NUMBER', { message: OPENSSL, reason: 'wrong version number' }),
    before: ['CFSSL_WRONG_SCHEME', `${scheme} (wrong version number)`],
  },
  {
    name: 'TLS record error: a record that is none',
    error: errorOf('ERR_SSL_PACKET_LENGTH_TOO_LONG', { message: OPENSSL, reason: 'packet length too long' }),
    before: ['CFSSL_WRONG_SCHEME', `${scheme} (packet length too long)`],
  },
  {
    name: 'an answer that is not HTTP',
    error: errorOf('', { name: 'HTTPParserError' }),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (HTTPParserError)`],
    after: ['CFSSL_INVALID_ANSWER', true],
  },
  {
    name: 'an answer that is not HTTP, with code',
    error: errorOf('HPE_INVALID_CONSTANT'),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (HPE_INVALID_CONSTANT)`],
    after: ['CFSSL_INVALID_ANSWER', true],
  },
  {
    name: 'headers without end',
    error: errorOf('UND_ERR_HEADERS_OVERFLOW'),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (UND_ERR_HEADERS_OVERFLOW)`],
    after: ['CFSSL_INVALID_ANSWER', true],
  },
  {
    name: 'an answer without end',
    error: new AnswerTooLongError(100),
    before: ['CFSSL_UNREACHABLE', `${unreachable} (more than 100 bytes)`],
    after: ['CFSSL_INVALID_ANSWER', true],
  },
];

describe('classifyNetworkError', () => {
  for (const { name, error, before, after } of ROWS) {
    test(`${name}, before the request was written`, () => {
      const verdict = classifyNetworkError(error, { wasWritten: false, isAborted: false });
      assert.deepEqual(verdict, { code: before[0], maybeProcessed: false });
      const shown = networkError(error, verdict);
      assert.deepEqual(
        { code: shown.code, reason: shown.reason, details: shown.details, cause: shown.cause },
        { code: before[0], reason: before[1], details: { maybeProcessed: false }, cause: error },
      );
    });
    if (after === undefined) continue;
    test(`${name}, after the request was written`, () => {
      const verdict = classifyNetworkError(error, { wasWritten: true, isAborted: false });
      assert.deepEqual(verdict, { code: after[0], maybeProcessed: after[1] });
    });
  }

  for (const wasWritten of [false, true]) {
    test(`the caller gave up, ${wasWritten ? 'after' : 'before'} the request was written`, () => {
      const error = new Error('Shutting down');
      const verdict = classifyNetworkError(error, { wasWritten, isAborted: true });
      assert.deepEqual(verdict, { code: 'CFSSL_ABORTED', maybeProcessed: wasWritten });
      assert.equal(networkError(error, verdict).reason, 'the call was cancelled (Shutting down)');
    });
  }
});
