import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseEndpoints } from './endpoints.ts';
import { CfsslError } from './errors.ts';

describe('parseEndpoints', () => {
  const accepted: readonly (readonly [text: string, urls: readonly string[]])[] = [
    ['https://ca.example', ['https://ca.example']],
    ['https://ca.example/', ['https://ca.example']],
    ['https://ca.example///', ['https://ca.example']],
    ['  https://ca.example\n', ['https://ca.example']],
    ['HTTPS://CA.Example', ['https://ca.example']],
    ['https://ca.example:443', ['https://ca.example']],
    ['http://ca.example:80/', ['http://ca.example']],
    ['https://ca.example:8443/', ['https://ca.example:8443']],
    ['https://ca.example/prefix', ['https://ca.example/prefix']],
    ['https://ca.example/a/Prefix/', ['https://ca.example/a/Prefix']],
    ['ca', ['http://ca']],
    ['ca.example', ['http://ca.example']],
    ['ca.example:8888', ['http://ca.example:8888']],
    ['ca.example:8888/api', ['http://ca.example:8888/api']],
    ['localhost:8888', ['http://localhost:8888']],
    ['ca_x.example:8888', ['http://ca_x.example:8888']],
    ['127.0.0.1:8888', ['http://127.0.0.1:8888']],
    ['[::1]:8888', ['http://[::1]:8888']],
    ['https://[2001:DB8::1]/p/', ['https://[2001:db8::1]/p']],
    ['https://a.example,https://b.example', ['https://a.example', 'https://b.example']],
    [' https://b.example/ , a.example:1 ,', ['https://b.example', 'http://a.example:1']],
    [',,a.example,,', ['http://a.example']],
    ['a.example, http://a.example:80/, A.example', ['http://a.example']],
  ];
  for (const [text, urls] of accepted) {
    test(`reads ${JSON.stringify(text)}`, () => {
      assert.deepEqual(
        parseEndpoints(text).map(({ url }) => url),
        urls,
      );
    });
  }

  test('splits a base URL into origin and path', () => {
    assert.deepEqual(parseEndpoints('https://[::1]:8443/a/b/'), [
      { url: 'https://[::1]:8443/a/b', origin: 'https://[::1]:8443', path: '/a/b' },
    ]);
  });

  const refused: readonly (readonly [text: string, reason: string])[] = [
    ['', 'there is none'],
    [' , ,', 'there is none'],
    ['ftp://ca.example', 'the scheme is "ftp", not http or https'],
    ['unix:///run/ca.sock', 'the scheme is "unix", not http or https'],
    ['https:ca.example', '"https:ca.example" is not a URL'],
    ['https:/ca.example', '"https:/ca.example" is not a URL'],
    ['https://', '"https://" is not a URL'],
    ['https:///path', '"https:///path" is not a URL'],
    ['://ca.example', '"://ca.example" is not a URL'],
    ['/path', '"/path" is not a URL'],
    ['::1', '"::1" is not a URL'],
    ['https://ca example', '"https://ca example" is not a URL'],
    ['https:\\\\ca.example', '"https:\\\\\\\\ca.example" is not a URL'],
    ['https://ca.example\\path', '"https://ca.example\\\\path" is not a URL'],
    ['https://ca.example:port', '"https://ca.example:port" is not a URL'],
    ['https://ca.example:70000', '"https://ca.example:70000" is not a URL'],
    ['https://ca.example?', 'it has the query "?"'],
    ['https://ca.example/?label=x&key=secret', 'it has the query "?label=…&key=…"'],
    ['https://ca.example/#', 'it has the fragment "#"'],
    ['https://ca.example/#top?x', 'it has the fragment "#top?x"'],
    ['https://user@ca.example', 'there is user information before "…@ca.example"'],
    ['https://user:secret@ca.example/p', 'there is user information before "…@ca.example/p"'],
    ['user:secret@ca.example:8888', 'there is user information before "…@ca.example:8888"'],
    ['https://good.example, https://user:secret@bad.example', 'there is user information before "…@bad.example"'],
    [`https://ca.example/${'x'.repeat(200)}?q`, 'it has the query "?q"'],
    [`https://${'x'.repeat(254)}`, `"https://${'x'.repeat(92)}…" is too long`],
    [`https://ca.example/${'x'.repeat(982)}`, `"https://ca.example/${'x'.repeat(81)}…" is too long`],
    [Array.from({ length: 17 }, (_, at) => `ca${at}.example`).join(), 'there are 17, more than 16'],
    [`ht${'t'.repeat(200)}p://ca.example`, `the scheme is "ht${'t'.repeat(98)}…", not http or https`],
  ];
  for (const [text, reason] of refused) {
    test(`refuses ${JSON.stringify(text).slice(0, 60)}`, () => {
      assert.throws(() => parseEndpoints(text), {
        name: 'CfsslError',
        code: 'CFSSL_INVALID_URL',
        message: `Cannot use CFSSL URL: ${reason}`,
        details: { maybeProcessed: false },
      });
    });
  }

  test('never shows a password, however the URL is broken', () => {
    for (const password of [
      'hunter2',
      'hunter2/x',
      'x/hunter2',
      'x?hunter2',
      'x,hunter2',
      'hunter2,x',
      'hunter2#x',
      'x@hunter2',
      'x\nhunter2',
      'x hunter2',
      '\\hunter2',
    ]) {
      for (const scheme of ['https://', 'http://', '', 'ftp://', 'https:/', 'https:', '//']) {
        assert.throws(
          () => parseEndpoints(`${scheme}user:${password}@ca.example`),
          (error) => error instanceof CfsslError && !/hunter2|user:/.test(error.message),
          `${scheme}user:${password}@ca.example`,
        );
      }
    }
  });
});
