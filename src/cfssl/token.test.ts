import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';

import { CfsslError } from './errors.ts';
import { AuthKey, createToken, parseAuthKey } from './token.ts';

interface Vector {
  readonly name: string;
  readonly key: string;
  readonly request: Buffer;
  readonly additionalData?: Buffer;
  readonly token: string;
}

/** V1 to V3 were made with Go's auth package, Python and openssl alike; the last is upstream's auth/testdata/authrequest.json. */
const VECTORS: readonly Vector[] = [
  {
    name: 'V1, no additional data',
    key: '000102030405060708090a0b0c0d0e0f',
    request: Buffer.from(
      JSON.stringify({
        certificate_request: '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n',
        label: 'primary',
        profile: 'server',
      }),
    ),
    token: 'bAYDM6SjlF/FB4Ollp0DENHUcLuHz+jpO+w3SHCPFqQ=',
  },
  {
    name: 'V2, key in upper case, binary additional data',
    key: '0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF',
    request: Buffer.from('{"certificate_request":"x","label":"intermediate1","profile":"server-short","bundle":true}'),
    additionalData: Buffer.from('000162696e6172792061640a', 'hex'),
    token: 'YIIBV5/htg5P2q7GScw+E2UD2YwK+olKsx0yrnmeQbA=',
  },
  {
    name: 'V3, non-ASCII text and JSON escapes as they are',
    key: 'b8093a819f367241a8e0f55125589e25',
    request: Buffer.from(
      '7b2263657274696669636174655f72657175657374223a22c3a4e282ac205c7530303363222c226c6162656c223a226c5c753030653462656c227d',
      'hex',
    ),
    additionalData: Buffer.from('issuer=ns/name'),
    token: 'm/yeyfhpI9pVqWflizviXoOoi25RRMfj2b88VPHTv3o=',
  },
  {
    name: "upstream's request",
    key: '0123456789ABCDEF0123456789ABCDEF',
    request: Buffer.from(
      'ewoJImhvc3RuYW1lIjogImt5bGVpc29tLm5ldCIsCgkicmVxdWVzdCI6ICItLS0tLUJFR0lOIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQoJICAgIE1JSUQwVENDQWpzQ0FRQXdZREVMTUFrR0ExVUVCaE1DVlZNeEVqQVFCZ05WQkFvVENXUnliM0J6YjI1a1pURVEKCSAgICBNQTRHQTFVRUN4TUhRMFl0UTJoaGRERVdNQlFHQTFVRUJ4TU5VMkZ1SUVaeVlXNWphWE5qYnpFVE1CRUdBMVVFCgkgICAgQ0JNS1EyRnNhV1p2Y201cFlUQ0NBYUl3RFFZSktvWklodmNOQVFFQkJRQURnZ0dQQURDQ0FZb0NnZ0dCQU1jQwoJICAgIEdCbDVMVHJla0dGV2hvdGtkYlorUjFNbG9hcld4UXY5alA0QWVrdDhVT2ljeXBIdkZPNnhPdFN3SG8rcjMyaUUKCSAgICBxblM1eXYvMDFQMk1KdXlxbmRuY1RTTXNPbFQvN242N1RNMDB1MDFLLzljL3NvZ0tFS2pseXBsVFA3eUZkRy9jCgkgICAgT3UvOXFLYi9KYWxkMndFTEZZRTZ4cTJSREZ5eHlpWk9CM2c3WjdGeGE1ZDZhZGZHUndaek50VUw0LzhzK0x5aQoJICAgIHFkdzlJMWZrUWQ2MDRwb1pGTjB3clFzNGxmaFdUVWZnMHJIdWg1d2dHS1AzVnpacGJ0OEZiMXZOamZiSHRvaHgKCSAgICBHMlBDVTZKeStEYzFiU2ZVeldjUW5lbnA4NThXNEY4ejdwRjV5YmRuRlIzMTNIam9zcVhuRzI4eklUck9hZE1UCgkgICAgSGFKNnpPaGdFYWZVT1dYT3pqTm9mRkJGYTJJdUNBVCtJVFJZMXRDL2dxcHhHd0gveXVWTjE5Qkc4VXBuMCtIQQoJICAgIGllMm1LQ0hmU0JBS1QvWGU0dW1QZWF4U2JJcVdzVzhjaytkM2I0b3I5Ulp2NWNaUmNUM29pa0p0K1NRRzY5cFcKCSAgICA0T0FiYitBQnNzL05JdXJpNnowZTdERWVJTDV6bXlTSnFkdFlIZE5ZTjcrK3Y5eEJOc0w0SXNVNklFeTMrUUlECgkgICAgQVFBQm9DNHdMQVlKS29aSWh2Y05BUWtPTVI4d0hUQWJCZ05WSFJFRUZEQVNnaEJqWmk1a2NtOXdjMjl1WkdVdQoJICAgIGJtVjBNQXNHQ1NxR1NJYjNEUUVCREFPQ0FZRUFoTUFxQmlySStrMWFVM2xmQUdRaVNtOHl0T3paaWozODloSXIKCSAgICBuVXA4K1duVHVWVGI4WFozL1YrTDlFblRJbUY2dTF3ZWFqWGQzU3VlNDk1NzBMYlltSXV4QmtHcDUwL0JkVUR6CgkgICAgdUI2eHNoaEpXczEySnhVYjkxSW1tMGJUUncyek1xZXdnYTZmdHpaL0FLNG1zeFFBMlVJYmNXWmRzS2J1TTdzbwoJICAgIEpUZlZXOWlPd3FIdC82NFpqNHRCWmY5THpPRHI3a051S0tMbndqaXpIMTg3eGZJSWhkcmpGOFdTN0g5QVBCMU8KCSAgICBTdUVVRGZxaDBTV1IzbHRXdUF1VVdlbzZTS2NIVnVzeS9HNFlFK1BCeXcxZVY3RzRTYmVHNVowbytHT1VVSy9GCgkgICAgYjU1R21XMXhhNExBcnMxQSt6ZUZidkovQkFwc2JVMmI2V1ZtTmE3V3BIejdXWElGT0p1WUpnRWtWS1BKbkt1cwoJICAgIHFxczNGZ1VxejBadjdUSzhtTWlFVEpvWFpzNnpDdk15c1FldTNKL29qZ3RBanZNaHpRYzZQUy9udk90SmRJZysKCSAgICBIMHFYNDlmaHAxQnJZeXNsYWx6UUlGMCtIMHFTVWV5b1V5VjJ3YkxCQUxhcHhNZnZUVmxoTnduYWN0Y0tReHE0CgkgICAgK3dUKzJQVEowYk0vNUFWMFRPMVNQVDBBVmlKaAoJICAgIC0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLSIsCgkicHJvZmlsZSI6ICIiLAoJInJlbW90ZSI6ICIiLAoJImxhYmVsIjogInByaW1hcnkiCn0KCg==',
      'base64',
    ),
    token: 'tSU1WTE/322iXrOBfJSQ9/u1dleqpwUmCj1LXYHw07Y=',
  },
];

describe('createToken', () => {
  for (const { name, key, request, additionalData, token } of VECTORS) {
    test(name, () => {
      assert.equal(createToken(parseAuthKey(key), request, additionalData), token);
    });
  }

  test('an empty key over nothing, which only a constructor gets past', () => {
    assert.equal(
      Buffer.from(createToken(new AuthKey(new Uint8Array()), new Uint8Array()), 'base64').toString('hex'),
      'b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad',
    );
  });
});

describe('parseAuthKey', () => {
  const request = Buffer.from('request');
  const expected = createToken(new AuthKey(Buffer.from('00ff', 'hex')), request);

  for (const text of ['00ff', '00FF', ' 00ff', '00ff\n', '\r\n\t00fF \r\n', '\ufeff00ff']) {
    test(`accepts ${JSON.stringify(text)}`, () => {
      assert.equal(createToken(parseAuthKey(text), request), expected);
    });
  }

  const refused: readonly (readonly [text: string, reason: string])[] = [
    ['', 'it is empty'],
    [' \n', 'it is empty'],
    ['env:CFSSL_KEY', 'references with env: or file: are not followed, it must be the key itself'],
    ['ENV:CFSSL_KEY', 'references with env: or file: are not followed, it must be the key itself'],
    ['file:/etc/passwd', 'references with env: or file: are not followed, it must be the key itself'],
    ['0f1e2d3', 'it has an odd number of hexadecimal digits'],
    ['0x1e2d3c', 'it holds something else than hexadecimal digits'],
    ['0f1e 2d3c', 'it holds something else than hexadecimal digits'],
    ['0f1e\n2d3c', 'it holds something else than hexadecimal digits'],
    ['0f1e2d3g', 'it holds something else than hexadecimal digits'],
    ['vault:0f1e2d3c', 'it holds something else than hexadecimal digits'],
    ['٠١٢٣', 'it holds something else than hexadecimal digits'],
  ];
  for (const [text, reason] of refused) {
    test(`refuses ${JSON.stringify(text)} without quoting it`, () => {
      assert.throws(
        () => parseAuthKey(text),
        (error) => {
          assert.ok(error instanceof CfsslError);
          assert.equal(error.code, 'CFSSL_INVALID_KEY');
          assert.equal(error.message, `Cannot use authentication key: ${reason}`);
          assert.deepEqual(error.details, { maybeProcessed: false });
          assert.equal(error.cause, undefined);
          return true;
        },
      );
    });
  }
});

describe('AuthKey', () => {
  test('never prints its bytes', () => {
    const key = parseAuthKey('6b6579206d6174657269616c');
    const shown = `${inspect(key, { showHidden: true, depth: null })} ${JSON.stringify({ key })}`;
    for (const bytes of ['6b6579', 'a2V5', 'key material', '107, 101']) {
      assert.ok(!shown.includes(bytes), shown);
    }
  });
});
