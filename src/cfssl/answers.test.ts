import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assert as assertProperty, constantFrom, integer, jsonValue, oneof, property, string } from 'fast-check';

import { parseInfoAnswer, parseProbeAnswer, parseSignAnswer } from './answers.ts';
import { CFSSL_ERRORS, CfsslError, type CfsslErrorCode } from './errors.ts';
import { createAuthority, failure, success } from './testing/test-support.ts';

const { certPem } = await createAuthority('Test CA');
/** As multirootca's info gives it. */
const trimmedPem = certPem.trim();

function errorOf(judge: () => unknown): CfsslError {
  try {
    judge();
  } catch (error) {
    assert.ok(error instanceof CfsslError, String(error));
    return error;
  }
  throw new Error('No error');
}

interface Row {
  /** The symptom in the words of the decision table, cfssl-api.md 6.2. */
  readonly symptom: string;
  readonly status: number;
  readonly body: string;
  readonly code: CfsslErrorCode;
  /** Whether a certificate may have been issued. */
  readonly maybe: boolean;
}

const row = (symptom: string, status: number, body: string, code: CfsslErrorCode, maybe = false): Row => ({
  symptom,
  status,
  body,
  code,
  maybe,
});
const error = failure;
const html = '<html><head><title>Proxy</title></head></html>\n';
const nginx = (title: string): string =>
  `<html>\r\n<head><title>400 ${title}</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n`;
const inner = (code: number, message: string): string => failure(7400, failure(code, message));

/** All rows but those without an answer (network-errors.test.ts) and "certificate does not fit the CSR" (issuer/). */
const ROWS: readonly Row[] = [
  row(
    '400 "Client sent an HTTP request to an HTTPS server."',
    400,
    'Client sent an HTTP request to an HTTPS server.\n',
    'CFSSL_WRONG_SCHEME',
  ),
  row('400 of nginx: plain HTTP', 400, nginx('The plain HTTP request was sent to HTTPS port'), 'CFSSL_WRONG_SCHEME'),
  row('400 of nginx: no client certificate', 400, nginx('No required SSL certificate was sent'), 'CFSSL_TLS_TRUST'),
  row('400 of nginx: a wrong client certificate', 400, nginx('The SSL certificate error'), 'CFSSL_TLS_TRUST'),
  row('400 of nginx for another reason', 400, nginx('Bad Request'), 'CFSSL_UNKNOWN_REFUSAL'),
  row('200 not JSON', 200, html, 'CFSSL_INVALID_ANSWER', true),
  row('200 not JSON: empty', 200, '', 'CFSSL_INVALID_ANSWER', true),
  row('200 not JSON: BOM', 200, `\ufeff${success({ certificate: certPem })}`, 'CFSSL_INVALID_ANSWER', true),
  row('200 not JSON: other JSON', 200, '{"status":"ok"}', 'CFSSL_INVALID_ANSWER', true),
  row('200 not JSON: an array', 200, '[]', 'CFSSL_INVALID_ANSWER', true),
  row('200 not JSON: null', 200, 'null', 'CFSSL_INVALID_ANSWER', true),
  row('200 no result', 200, success(null), 'CFSSL_INVALID_ANSWER', true),
  row('200 no result: a string', 200, success('x'), 'CFSSL_INVALID_ANSWER', true),
  row('200 no certificate', 200, success({}), 'CFSSL_INVALID_ANSWER', true),
  row('200 no certificate: null', 200, success({ certificate: null }), 'CFSSL_INVALID_ANSWER', true),
  row('200 PEM unreadable', 200, success({ certificate: certPem.replace('MII', 'AII') }), 'CFSSL_INVALID_ANSWER', true),
  row('200 PEM unreadable: empty', 200, success({ certificate: '' }), 'CFSSL_INVALID_ANSWER', true),
  row('200 with success false', 200, error(1, 'bad request'), 'CFSSL_INVALID_ANSWER', true),
  row(
    '200 with success false and a result',
    200,
    success({ certificate: certPem }).replace('true', 'false'),
    'CFSSL_INVALID_ANSWER',
    true,
  ),
  row('201', 201, success({ certificate: certPem }), 'CFSSL_INVALID_ANSWER', true),
  row('any 3xx', 301, html, 'CFSSL_REDIRECT'),
  row('any 3xx: 302', 302, '', 'CFSSL_REDIRECT'),
  row('any 3xx: 307', 307, '', 'CFSSL_REDIRECT'),
  row('any 3xx: 399', 399, '', 'CFSSL_REDIRECT'),
  row('401 code 1 authorisation required', 401, error(1, 'authorisation required'), 'CFSSL_NO_AUTH_KEY'),
  row('401 of something else', 401, html, 'CFSSL_PROXY_LOGIN'),
  row('403 code 1 not authorised', 403, error(1, 'not authorised'), 'CFSSL_ADDRESS_NOT_ALLOWED'),
  row('403 "Invalid CN" (text)', 403, 'Invalid CN\n', 'CFSSL_CLIENT_NAME_REFUSED'),
  row('403 of something else', 403, html, 'CFSSL_FORBIDDEN'),
  row('404 text', 404, '404 page not found\n', 'CFSSL_NOT_FOUND'),
  row('405', 405, error(1, 'only POST is permitted'), 'CFSSL_METHOD_REFUSED'),
  row('405 of something else', 405, html, 'CFSSL_METHOD_REFUSED'),
  row('405 of serve', 405, error(405, 'Method is not allowed:"GET"'), 'CFSSL_METHOD_REFUSED'),
  row('407', 407, html, 'CFSSL_PROXY_LOGIN'),
  row('408', 408, html, 'CFSSL_UNAVAILABLE'),
  row('425', 425, html, 'CFSSL_UNAVAILABLE'),
  row('429', 429, html, 'CFSSL_UNAVAILABLE'),
  row('502', 502, html, 'CFSSL_UNAVAILABLE', true),
  row('503', 503, html, 'CFSSL_UNAVAILABLE', true),
  row('504', 504, html, 'CFSSL_UNAVAILABLE', true),
  row('413', 413, html, 'CFSSL_REQUEST_TOO_LARGE'),
  row('431', 431, html, 'CFSSL_REQUEST_TOO_LARGE'),
  row('400 code 1 invalid token', 400, error(1, 'invalid token'), 'CFSSL_INVALID_TOKEN'),
  row('serve 400/400 invalid token', 400, error(400, 'invalid token'), 'CFSSL_INVALID_TOKEN'),
  row('400 code 1 invalid profile', 400, error(1, 'invalid profile'), 'CFSSL_UNKNOWN_PROFILE'),
  row('400 code 1 invalid request', 400, error(1, 'invalid request'), 'CFSSL_EMPTY_CSR'),
  row('400/400 missing parameter', 400, error(400, "missing parameter 'certificate_request'"), 'CFSSL_EMPTY_CSR'),
  row('400 code 1 bad request', 400, error(1, 'bad request'), 'CFSSL_BAD_REQUEST'),
  row('400 code 1 with a Go JSON text', 400, error(1, 'unexpected end of JSON input'), 'CFSSL_UNREADABLE_REQUEST'),
  row(
    '400 code 1 with a Go JSON text: syntax',
    400,
    error(1, "invalid character 'x' looking for beginning of value"),
    'CFSSL_UNREADABLE_REQUEST',
  ),
  row(
    '400 code 1 with a Go JSON text: type',
    400,
    error(1, 'json: cannot unmarshal number into Go value'),
    'CFSSL_UNREADABLE_REQUEST',
  ),
  row(
    '400 code 1 with a base64 text',
    400,
    error(1, 'illegal base64 data at input byte 4'),
    'CFSSL_UNREADABLE_REQUEST',
  ),
  row(
    '400 code 1 with a time text',
    400,
    error(1, 'parsing time "x" as "2006": cannot parse'),
    'CFSSL_UNREADABLE_REQUEST',
  ),
  row(
    '400 code 1 with a time text of newer Go',
    400,
    error(1, 'Time.UnmarshalJSON: input is not a JSON string'),
    'CFSSL_UNREADABLE_REQUEST',
  ),
  row('400 with a Go JSON text', 400, error(400, 'unexpected end of JSON input'), 'CFSSL_UNREADABLE_REQUEST'),
  row(
    '400 with a text of serve: authsign',
    400,
    error(400, 'Unable to parse authenticated sign request'),
    'CFSSL_UNREADABLE_REQUEST',
  ),
  row('400 with a text of serve: sign', 400, error(400, 'Unable to parse sign request'), 'CFSSL_UNREADABLE_REQUEST'),
  row('400/400 authentication required', 400, error(400, 'authentication required'), 'CFSSL_AUTH_MISMATCH'),
  row('400/400 no authentication provider', 400, error(400, 'no authentication provider'), 'CFSSL_AUTH_MISMATCH'),
  row('400/400 bad label (info)', 400, error(400, 'bad label'), 'CFSSL_UNKNOWN_LABEL'),
  row(
    '400/1000 cannot be encoded as an IA5String',
    400,
    error(1000, 'x509: "ä" cannot be encoded as an IA5String'),
    'CFSSL_CSR_NOT_ENCODABLE',
  ),
  row('400/1000 malformed', 400, error(1000, 'x509: SAN dNSName is malformed'), 'CFSSL_CSR_NOT_ENCODABLE'),
  row(
    "400/1000 doesn't match parent's PublicKey",
    400,
    error(1000, "x509: provided PrivateKey doesn't match parent's PublicKey"),
    'CFSSL_SIGNER_BROKEN',
  ),
  row('400/1001', 400, error(1001, 'read'), 'CFSSL_SERVER_CERTIFICATES', true),
  row('400/1003', 400, error(1003, 'parse'), 'CFSSL_SERVER_CERTIFICATES', true),
  row('400/1100', 400, error(1100, 'Certificate is self signed'), 'CFSSL_SERVER_CERTIFICATES', true),
  row('400/12xx: 1200', 400, error(1200, 'verify'), 'CFSSL_SERVER_CERTIFICATES', true),
  row(
    '400/12xx: 1220',
    400,
    error(1220, 'x509: certificate signed by unknown authority'),
    'CFSSL_SERVER_CERTIFICATES',
    true,
  ),
  row('400/1300', 400, error(1300, 'not whitelisted'), 'CFSSL_EXTENSION_NOT_ALLOWED'),
  row('400/1400', 400, error(1400, 'serial'), 'CFSSL_SERIAL_REQUIRED'),
  row('400/2xxx', 400, error(2300, 'Private key does not match public key'), 'CFSSL_SERVER_KEY', true),
  row('400/3xxx', 400, error(3001, 'read'), 'CFSSL_SERVER_KEY', true),
  row('400/4xxx', 400, error(4003, 'parse'), 'CFSSL_SERVER_KEY', true),
  row('400/5100', 400, error(5100, 'No key usages'), 'CFSSL_POLICY_BROKEN'),
  row('400/5200', 400, error(5200, 'Invalid or unknown policy'), 'CFSSL_POLICY_BROKEN'),
  row('400/5400', 400, error(5400, 'Unknown policy profile'), 'CFSSL_POLICY_BROKEN'),
  row('400/5300 CA asked but not allowed', 400, error(5300, 'Policy violation request'), 'CFSSL_POLICY_VIOLATION'),
  row('400/5300 "failed to connect to remote"', 400, error(5300, 'failed to connect to remote'), 'CFSSL_PROXY_SETUP'),
  row('400/5500', 400, error(5500, 'Request does not match policy whitelist'), 'CFSSL_NAMES_NOT_ALLOWED'),
  row('400/6000', 400, error(6000, 'dial tcp: connection refused'), 'CFSSL_PROXY_UPSTREAM'),
  row('400/7200', 400, error(7200, 'invalid character'), 'CFSSL_PROXY_UPSTREAM', true),
  row('400/7300', 400, error(7300, 'unexpected EOF'), 'CFSSL_PROXY_UPSTREAM', true),
  row('400/7100', 400, error(7100, 'auth'), 'CFSSL_PROXY_KEY'),
  row('400/7400 "404 page not found"', 400, error(7400, '404 page not found\n'), 'CFSSL_PROXY_SETUP'),
  row('400/7500 "404 page not found"', 400, error(7500, '404 page not found'), 'CFSSL_PROXY_SETUP'),
  row('400/7400 "profile must not be nil"', 400, error(7400, 'profile must not be nil'), 'CFSSL_PROXY_SETUP'),
  row('400/7400 else', 400, error(7400, 'failed POST to http://up: connection refused'), 'CFSSL_PROXY_UPSTREAM', true),
  row('400/7500 else', 400, error(7500, 'no'), 'CFSSL_PROXY_UPSTREAM', true),
  row(
    '400/7400 a JSON envelope: names',
    400,
    inner(5500, 'Request does not match policy whitelist'),
    'CFSSL_NAMES_NOT_ALLOWED',
  ),
  row('400/7400 a JSON envelope: bad request', 400, inner(1, 'bad request'), 'CFSSL_BAD_REQUEST'),
  row('400/7400 a JSON envelope: nets', 400, inner(1, 'not authorised'), 'CFSSL_ADDRESS_NOT_ALLOWED'),
  row('400/7400 a JSON envelope: method', 400, inner(1, 'only POST is permitted'), 'CFSSL_METHOD_REFUSED'),
  row(
    '400/7400 a JSON envelope: method of serve',
    400,
    inner(405, 'Method is not allowed:"GET"'),
    'CFSSL_METHOD_REFUSED',
  ),
  row('400/7400 a JSON envelope: 500 other', 400, inner(0, 'runtime error'), 'CFSSL_SERVER_ERROR', true),
  row('400/7400 a JSON envelope: bundle', 400, inner(1, 'error creating bundle'), 'CFSSL_BUNDLE_FAILED', true),
  row("400/7400 a JSON envelope: the proxy's token", 400, inner(1, 'invalid token'), 'CFSSL_PROXY_KEY'),
  row('400/7400 a JSON envelope in no row', 400, inner(77, 'new'), 'CFSSL_PROXY_UPSTREAM', true),
  row('400/7400 an envelope without errors', 400, failure(7400, success(null)), 'CFSSL_PROXY_UPSTREAM', true),
  row('400/7400 nested twice', 400, failure(7400, inner(9300, 'not a csr')), 'CFSSL_CSR_REFUSED'),
  row('400/7500 a JSON envelope', 400, failure(7500, failure(11000, 'db')), 'CFSSL_DATABASE', true),
  row('400/9xxx: 9002', 400, error(9002, 'CSR Decode failed'), 'CFSSL_CSR_REFUSED'),
  row('400/9xxx: 9300', 400, error(9300, 'x509: ECDSA verification failure'), 'CFSSL_CSR_REFUSED'),
  row('400/10xxx', 400, error(10100, 'submission failed'), 'CFSSL_CT_LOG', true),
  row('400/11xxx', 400, error(11000, 'sql: database is closed'), 'CFSSL_DATABASE', true),
  row('500 code 1 error creating bundle', 500, error(1, 'error creating bundle'), 'CFSSL_BUNDLE_FAILED', true),
  row(
    '500 code 1 requires a bundler',
    500,
    error(1, 'This request requires a bundler, but one is not initialized for the API server.'),
    'CFSSL_BUNDLE_FAILED',
    true,
  ),
  row(
    '500 code 0 "pre-issuance linting found N error results"',
    500,
    error(0, 'pre-issuance linting found 3 error results'),
    'CFSSL_LINT',
  ),
  row('500 other: code 0', 500, error(0, 'runtime error'), 'CFSSL_SERVER_ERROR', true),
  row('500 other: code 1', 500, error(1, 'bad certificate'), 'CFSSL_SERVER_ERROR', true),
  row('500 other: text', 500, html, 'CFSSL_SERVER_ERROR', true),
  row('501', 501, html, 'CFSSL_SERVER_ERROR', true),
  row('400 of something else', 400, html, 'CFSSL_UNKNOWN_REFUSAL'),
  row('418 of something else', 418, html, 'CFSSL_UNKNOWN_REFUSAL'),
  row('400 with a code in no row', 400, error(8001, 'ocsp'), 'CFSSL_UNKNOWN_REFUSAL', true),
  row('400 code 1 with a text in no row', 400, error(1, 'Bad request'), 'CFSSL_UNKNOWN_REFUSAL', true),
  row(
    '400 with an error list that is empty',
    400,
    '{"success":false,"result":null,"errors":[]}',
    'CFSSL_UNKNOWN_REFUSAL',
  ),
];

/** Codes that no answer leads to, and the test that names them. */
const ELSEWHERE: Readonly<Partial<Record<CfsslErrorCode, string>>> = {
  CFSSL_INVALID_URL: 'endpoints.test.ts',
  CFSSL_INVALID_KEY: 'token.test.ts',
  CFSSL_INVALID_TLS: 'tls.test.ts',
  CFSSL_UNREACHABLE: 'network-errors.test.ts',
  CFSSL_TIMEOUT: 'network-errors.test.ts',
  CFSSL_CONNECTION_LOST: 'network-errors.test.ts',
  CFSSL_TLS_TRUST: 'network-errors.test.ts',
  CFSSL_ABORTED: 'network-errors.test.ts',
};

describe('parseSignAnswer', () => {
  for (const { symptom, status, body, code, maybe } of ROWS) {
    test(symptom, () => {
      const error = errorOf(() => parseSignAnswer(status, {}, body));
      assert.deepEqual(
        { code: error.code, httpStatus: error.details.httpStatus, maybeProcessed: error.details.maybeProcessed },
        { code, httpStatus: status, maybeProcessed: maybe },
      );
      assert.ok(error.reason.startsWith(`${CFSSL_ERRORS[code]} (HTTP ${status}`), error.reason);
    });
  }

  test('every code has a row, here or elsewhere', () => {
    const named = new Set([...ROWS.map(({ code }) => code), ...Object.keys(ELSEWHERE)]);
    assert.deepEqual([...named].toSorted(), Object.keys(CFSSL_ERRORS).toSorted());
  });

  test('reads a certificate, whatever the Content-Type says', () => {
    const body = success({ certificate: certPem });
    for (const headers of [{}, { 'content-type': 'text/plain; charset=utf-8' }, { 'content-type': 'text/html' }]) {
      assert.deepEqual(parseSignAnswer(200, headers, body), { certificatePem: certPem, messages: [] });
    }
  });

  test('ends every PEM with one newline', () => {
    const bundle = { bundle: `${certPem}${trimmedPem}`, root: trimmedPem };
    assert.deepEqual(parseSignAnswer(200, {}, success({ certificate: `\n${trimmedPem}\n\n`, bundle })), {
      certificatePem: certPem,
      bundlePem: `${certPem}${certPem}`,
      rootPem: certPem,
      messages: [],
    });
  });

  for (const bundle of [null, {}, 'x', [], { bundle: '', root: '' }, { bundle: 1, root: null }]) {
    test(`does without the bundle ${JSON.stringify(bundle)}`, () => {
      const body = success({ certificate: certPem, bundle });
      assert.deepEqual(parseSignAnswer(200, {}, body), { certificatePem: certPem, messages: [] });
    });
  }

  test('messages[].code 5300 on success: passes warnings on', () => {
    const warning = 'This request requires a bundler, but one is not initialized for the API server.';
    const body = success({ certificate: certPem }, [{ code: 5300, message: `${warning}\n` }]);
    assert.deepEqual(parseSignAnswer(200, {}, body).messages, [{ code: 5300, message: warning }]);
    assert.deepEqual(parseSignAnswer(200, {}, body.replace('5300', '"x"')).messages, []);
    assert.deepEqual(
      parseSignAnswer(
        200,
        {},
        '{"success":true,"result":RESULT}'.replace('RESULT', JSON.stringify({ certificate: certPem })),
      ).messages,
      [],
    );
  });

  test('tells what was seen: status, code and message, printable and cut', () => {
    const error = errorOf(() => parseSignAnswer(400, {}, failure(5500, `no\n\u202e"${'-x'.repeat(300)}`)));
    const cut = `no "${'-x'.repeat(98)}…`;
    assert.deepEqual(error.details, {
      httpStatus: 400,
      cfsslCode: 5500,
      cfsslMessage: cut,
      maybeProcessed: false,
    });
    assert.equal(
      error.reason,
      `the CSR's names are not on the profile's whitelist (HTTP 400, code 5500, ${JSON.stringify(cut)})`,
    );
    assert.equal(error.message, `Cannot use CFSSL's answer: ${error.reason}`);
  });

  test('tells what was seen: the text of something else', () => {
    const { reason, details } = errorOf(() => parseSignAnswer(502, {}, html));
    assert.equal(
      reason,
      `the server is unavailable for now (HTTP 502, "<html><head><title>Proxy</title></head></html>")`,
    );
    assert.deepEqual(details, { httpStatus: 502, maybeProcessed: true });
  });

  test('tells what was seen: the innermost of nested errors', () => {
    const { reason, details } = errorOf(() => parseSignAnswer(400, {}, inner(9002, 'CSR Decode failed')));
    assert.equal(reason, 'the server cannot use the CSR (HTTP 400, code 9002, "CSR Decode failed")');
    assert.deepEqual(details, {
      httpStatus: 400,
      cfsslCode: 9002,
      cfsslMessage: 'CSR Decode failed',
      maybeProcessed: false,
    });
  });

  const waits: readonly (readonly [header: string | string[] | undefined, retryAfterMs: number | undefined])[] = [
    ['0', 0],
    ['120', 120_000],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['9999999', undefined],
    [['1', '2'], undefined],
    [undefined, undefined],
  ];
  for (const [header, retryAfterMs] of waits) {
    test(`honours Retry-After: ${String(header)}`, () => {
      const { details } = errorOf(() => parseSignAnswer(503, { 'retry-after': header }, ''));
      assert.equal(details.retryAfterMs, retryAfterMs);
    });
  }

  test('ends with a CfsslError whatever a server writes', () => {
    const body = oneof(
      string({ unit: 'binary' }),
      jsonValue().map((value) => JSON.stringify(value)),
      jsonValue().map((result) => success(result)),
      jsonValue().map((errors) => JSON.stringify({ success: false, errors })),
      jsonValue().map((message) => JSON.stringify({ success: false, errors: [{ code: 7400, message }] })),
    );
    const parse = constantFrom(parseSignAnswer, parseInfoAnswer, parseProbeAnswer);
    assertProperty(
      property(integer({ min: 200, max: 599 }), body, parse, (status, text, parse) => {
        const { message } = errorOf(() => parse(status, {}, text));
        assert.ok(message.length < 1000);
        assert.ok(!/[\p{C}\u2028\u2029]/u.test(message), message);
      }),
    );
  });
});

describe('parseInfoAnswer', () => {
  test("reads multirootca's answer", () => {
    const body = success({ certificate: trimmedPem, usages: ['signing', 'server auth'], expiry: '8760h' });
    assert.deepEqual(parseInfoAnswer(200, {}, body), {
      certificatePem: certPem,
      usages: ['signing', 'server auth'],
      expiry: '8760h',
    });
  });

  test('stands usages that are null and an expiry that is missing', () => {
    assert.deepEqual(parseInfoAnswer(200, {}, success({ certificate: certPem, usages: null })), {
      certificatePem: certPem,
      usages: [],
      expiry: '',
    });
  });

  for (const { symptom, status, body, code } of ROWS) {
    test(`${symptom}: the same code, nothing issued`, () => {
      const error = errorOf(() => parseInfoAnswer(status, {}, body));
      assert.deepEqual([error.code, error.details.maybeProcessed], [code, false]);
    });
  }
});

describe('parseProbeAnswer', () => {
  test('the complaint about the empty CSR is the good answer', () => {
    assert.deepEqual(parseProbeAnswer(400, {}, failure(1, 'invalid request')), { server: 'multirootca' });
    const ofServe = failure(400, "missing parameter 'certificate_request'");
    assert.deepEqual(parseProbeAnswer(400, {}, ofServe), { server: 'serve' });
  });

  test('bad request means that the label is unknown', () => {
    const error = errorOf(() => parseProbeAnswer(400, {}, failure(1, 'bad request')));
    assert.equal(error.code, 'CFSSL_UNKNOWN_LABEL');
    assert.equal(error.reason, 'the server does not know the label (HTTP 400, code 1, "bad request")');
    assert.deepEqual(error.details, {
      httpStatus: 400,
      cfsslCode: 1,
      cfsslMessage: 'bad request',
      maybeProcessed: false,
    });
  });

  test('success without a CSR is not CFSSL', () => {
    const error = errorOf(() => parseProbeAnswer(200, {}, success({ certificate: certPem })));
    assert.equal(error.code, 'CFSSL_INVALID_ANSWER');
    assert.equal(error.reason, 'the answer is not what CFSSL gives (HTTP 200, success without a CSR)');
    assert.equal(error.details.maybeProcessed, false);
  });

  for (const { symptom, status, body, code } of ROWS) {
    if (code === 'CFSSL_EMPTY_CSR' || code === 'CFSSL_BAD_REQUEST') continue;
    test(`${symptom}: the same code, nothing issued`, () => {
      const error = errorOf(() => parseProbeAnswer(status, {}, body));
      assert.deepEqual([error.code, error.details.maybeProcessed], [code, false]);
    });
  }
});
