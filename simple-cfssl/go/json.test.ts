import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AUTHENTICATED_REQUEST, INFO_REQUEST, SIGN_REQUEST } from '../requests.ts';
import { decodeJson, encodeJson, type Type } from './json.ts';

const TYPES = { auth: AUTHENTICATED_REQUEST, info: INFO_REQUEST, sign: SIGN_REQUEST };

/** What `json.Unmarshal` of Go 1.27.3 says of each text; "" is no error. */
const GO_ERRORS: readonly (readonly [keyof typeof TYPES, string, string])[] = [
  ['auth', '', 'unexpected end of JSON input'],
  ['auth', 'null', ''],
  ['auth', '{"a":1}\n\n', ''],
  ['auth', '{"a":"abc', 'unexpected end of JSON input'],
  ['auth', '{"a":"\\u12', 'unexpected end of JSON input'],
  ['auth', '-', 'unexpected end of JSON input'],
  ['auth', '{} {}', "invalid character '{' after top-level value"],
  ['auth', 'truee', "invalid character 'e' after top-level value"],
  ['auth', '00', "invalid character '0' after top-level value"],
  ['auth', '{"a":1,}', "invalid character '}' looking for beginning of object key string"],
  ['auth', "{'a':1}", String.raw`invalid character '\'' looking for beginning of object key string`],
  ['auth', '{"a" 1}', "invalid character '1' after object key"],
  ['auth', '{"a":01}', "invalid character '1' after object key:value pair"],
  ['auth', '[1 2]', "invalid character '2' after array element"],
  ['auth', '<html>', "invalid character '<' looking for beginning of value"],
  ['auth', '\ufeff{}', String.raw`invalid character '\ufeff' looking for beginning of value`],
  ['auth', '{"a":\u0001}', String.raw`invalid character '\x01' looking for beginning of value`],
  ['auth', '{"a":1.}', "invalid character '}' in numeric literal"],
  ['auth', '{"a":nulx}', "invalid character 'x' in literal null (expecting 'l')"],
  ['auth', '{"a":"\n"}', String.raw`invalid character '\n' in string`],
  ['auth', String.raw`{"a":"\x"}`, 'invalid escape sequence `\\x` in string'],
  ['auth', String.raw`{"a":"\u12G4"}`, 'invalid escape sequence `\\u12G4` in string'],
  ['auth', '{"token":1,"a":}', "invalid character '}' looking for beginning of value"],
  ['auth', '[]', 'json: cannot unmarshal array into Go value of type auth.AuthenticatedRequest'],
  [
    'auth',
    '{"TOKEN":1}',
    'json: cannot unmarshal number into Go struct field AuthenticatedRequest.TOKEN of type []uint8',
  ],
  ['auth', '{"token":"YQ===="}', unreadable('token', 4)],
  ['auth', '{"token":"YQ"}', unreadable('token', 0)],
  ['auth', '{"token":"_w=="}', unreadable('token', 0)],
  ['auth', '{"remote_address":"127.0.0.1"}', unreadable('remote_address', 3)],
  ['auth', '{"token":[1,2]}', ''],
  ['auth', '{"token":null}', ''],
  [
    'auth',
    '{"timestamp":1.5}',
    'json: cannot unmarshal number 1.5 into Go struct field AuthenticatedRequest.timestamp of type int64',
  ],
  [
    'auth',
    '{"timestamp":9223372036854775808}',
    'json: cannot unmarshal number 9223372036854775808 into Go struct field AuthenticatedRequest.timestamp of type int64',
  ],
  ['info', '{"label":true}', 'json: cannot unmarshal bool into Go struct field Req.label of type string'],
  ['sign', '{"hosts":["a",2,3]}', 'json: cannot unmarshal number into SignRequest.hosts.1 of type string'],
  [
    'sign',
    '{"subject":"x"}',
    'json: cannot unmarshal string into Go struct field SignRequest.subject of type signer.Subject',
  ],
  [
    'sign',
    '{"subject":{"names":{}}}',
    'json: cannot unmarshal object into Go struct field SignRequest.subject.names of type []csr.Name',
  ],
  [
    'sign',
    '{"subject":{"names":[{"O":1}]}}',
    'json: cannot unmarshal number into Go struct field SignRequest.subject.names.0.O of type string',
  ],
  [
    'sign',
    '{"metadata":1}',
    'json: cannot unmarshal number into Go struct field SignRequest.metadata of type map[string]interface {}',
  ],
  [
    'sign',
    '{"label":1,"NotAfter":"x"}',
    'json: cannot unmarshal number into Go struct field SignRequest.label of type string',
  ],
  ['sign', '{"serial":"12"}', String.raw`math/big: cannot unmarshal "\"12\"" into a *big.Int`],
  ['sign', '{"extensions":[{"id":1}]}', 'OID JSON string not wrapped in quotes.1'],
  ['sign', '{"extensions":[{"id":"x"}]}', 'Invalid OID'],
  ['sign', '{"extensions":[{"id":"1.x"}]}', 'strconv.Atoi: parsing "x": invalid syntax'],
  ['sign', '{"notafter":"x"}', 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'],
  ['sign', '{"not_after":"x","bundle":"x"}', ''],
];

function unreadable(field: string, at: number): string {
  const context = `json: cannot unmarshal string into Go struct field AuthenticatedRequest.${field} of type []uint8`;
  return `${context}: illegal base64 data at input byte ${at}`;
}

function errorOf<T>(type: Type<T>, text: string | Buffer): string {
  try {
    decodeJson(Buffer.from(text as string), type);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

describe('decodeJson', () => {
  for (const [name, text, message] of GO_ERRORS) {
    test(`${name} of ${JSON.stringify(text)}`, () => {
      assert.equal(errorOf<unknown>(TYPES[name], text), message);
    });
  }

  test('names an invalid byte', () => {
    assert.equal(
      errorOf(INFO_REQUEST, Buffer.from([0xff])),
      String.raw`invalid character '\xff' looking for beginning of value`,
    );
  });

  test('replaces invalid UTF-8 and lone surrogates', () => {
    const bytes = Buffer.concat([Buffer.from(String.raw`{"label":"\ud800`), Buffer.from([0xff]), Buffer.from('"}')]);
    assert.equal(decodeJson(bytes, INFO_REQUEST).label, '\ufffd\ufffd');
  });

  test('takes keys in any case, and the last of duplicates', () => {
    const request = decodeJson(
      Buffer.from('{"label":"a","LABEL":"b","pro\u017file":"x","profile":null}'),
      INFO_REQUEST,
    );
    assert.deepEqual(request, { label: 'b', profile: '' });
  });

  test('reads a duplicate struct over the former', () => {
    const json = '{"subject":{"CN":"a"},"subject":{"SerialNumber":"b"}}';
    assert.deepEqual(decodeJson(Buffer.from(json), SIGN_REQUEST).subject, { CN: 'a', names: null, SerialNumber: 'b' });
  });

  test('lets null in a duplicate array keep what was there', () => {
    const json = '{"hosts":["a","b"],"hosts":[null]}';
    assert.deepEqual(decodeJson(Buffer.from(json), SIGN_REQUEST).hosts, ['a']);
  });

  test('tells absent hosts from none', () => {
    assert.equal(decodeJson(Buffer.from('{}'), SIGN_REQUEST).hosts, null);
    assert.deepEqual(decodeJson(Buffer.from('{"hosts":[]}'), SIGN_REQUEST).hosts, []);
  });

  test('skips newlines in base64', () => {
    assert.deepEqual(
      decodeJson(Buffer.from(String.raw`{"token":"Y\r\nQ=\n="}`), AUTHENTICATED_REQUEST).token,
      Buffer.from('a'),
    );
  });

  test('refuses what is nested too deep instead of overflowing the stack', () => {
    assert.equal(errorOf(INFO_REQUEST, '['.repeat(100_000)), 'exceeded max depth');
  });
});

describe('encodeJson', () => {
  test("escapes HTML's characters and ends the line", () => {
    assert.equal(encodeJson({ a: '<&>\u2028"' }), String.raw`{"a":"\u003c\u0026\u003e\u2028\""}` + '\n');
  });
});
