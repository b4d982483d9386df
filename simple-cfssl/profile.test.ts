import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseSigningPolicy } from './profile.ts';

const sources = { readFile: () => Buffer.from(' AA\n'), env: { KEY: 'bb' } };
const parse = (config: unknown) => parseSigningPolicy(Buffer.from(JSON.stringify(config)), sources);
const USABLE = { usages: ['signing'], expiry: '1h' };

describe('parseSigningPolicy', () => {
  test("has CFSSL's default profile when there is none, without a key", () => {
    const { defaultProfile, profiles } = parse({ signing: {} });
    assert.deepEqual(defaultProfile.usages, ['signing', 'key encipherment', 'server auth', 'client auth']);
    assert.equal(defaultProfile.expiry, '8760h');
    assert.deepEqual(defaultProfile.authKeys, { current: undefined, previous: undefined });
    assert.equal(profiles, undefined);
  });

  test('ignores unknown keys and takes known ones in any case', () => {
    const { profiles } = parse({
      SIGNING: { Profiles: { a: { USAGES: ['any'], Expiry: '2h', lint_error_level: 'x' } } },
      x: 1,
    });
    assert.equal(profiles?.get('a')?.expiryMs, 7_200_000);
  });

  test('inherits URLs from the default profile, but no key', () => {
    const auth_keys = { k: { type: 'standard', key: 'aa' } };
    const { profiles } = parse({
      signing: {
        default: { ...USABLE, auth_key: 'k', ocsp_url: 'o', crl_url: 'c', issuer_urls: ['i'] },
        profiles: { a: USABLE },
      },
      auth_keys,
    });
    const { ocspUrl, crlUrl, issuerUrls, authKeys } = profiles?.get('a') ?? {};
    assert.deepEqual([ocspUrl, crlUrl, issuerUrls, authKeys?.current], ['o', 'c', ['i'], undefined]);
  });

  test("takes the default profile's expiry for none", () => {
    const { profiles } = parse({ signing: { default: USABLE, profiles: { a: { ...USABLE, expiry: '0s' } } } });
    assert.deepEqual([profiles?.get('a')?.expiry, profiles?.get('a')?.expiryMs], ['0s', 3_600_000]);
  });

  test('follows env: and file:, and takes an unset variable for the empty key', () => {
    for (const [key, expected] of [
      ['env:KEY', 'bb'],
      ['file:x', 'aa'],
      ['env:NONE', ''],
      ['AA', 'aa'],
    ] as const) {
      const { defaultProfile } = parse({
        signing: { default: { ...USABLE, auth_key: 'k', prev_auth_key: 'same' } },
        auth_keys: { k: { type: 'standard', key }, same: { type: 'standard', key: expected } },
      });
      const { current, previous } = defaultProfile.authKeys;
      assert.deepEqual(current?.mac(Buffer.from('x')), previous?.mac(Buffer.from('x')), key);
    }
  });

  const refused: Readonly<Record<string, readonly [config: unknown, message: RegExp]>> = {
    'no signing': [{}, /^there is no "signing"$/],
    'a wrong type': [{ signing: { default: { expiry: 1 } } }, /Config\.signing\.default\.expiry of type string$/],
    'no expiry': [{ signing: { default: { usages: ['any'] } } }, /^profile "default": time: invalid duration ""$/],
    days: [{ signing: { profiles: { a: { ...USABLE, expiry: '1d' } } } }, /^profile "a": time: invalid duration "1d"$/],
    'no known usage': [
      { signing: { profiles: { a: { usages: ['x'], expiry: '1h' } } } },
      /has no usage that is known$/,
    ],
    'a key that is not there': [{ signing: { default: { ...USABLE, auth_key: 'x' } } }, /there is no auth key "x"$/],
    'a bad pattern': [
      { signing: { default: { ...USABLE, name_whitelist: '(' } } },
      /^profile "default": name_whitelist: /,
    ],
    'a remote': [{ signing: { default: { ...USABLE, remote: 'x' } } }, /remotes are not supported$/],
    'CT logs': [{ signing: { default: { ...USABLE, ct_log_servers: ['x'] } } }, /ct_log_servers are not supported$/],
  };
  for (const [name, [config, message]] of Object.entries(refused)) {
    test(`refuses ${name}`, () => {
      assert.throws(() => parse(config), { name: 'ConfigurationError', message });
    });
  }

  test('refuses keys that are none, without quoting them', () => {
    for (const key of [
      { type: 'standard-ip', key: 'aa' },
      { type: 'standard', key: '0xaa' },
      { type: 'standard', key: 'abc' },
      { type: 'standard', key: 'vault:secret' },
    ]) {
      const config = { signing: { default: { ...USABLE, auth_key: 'k' } }, auth_keys: { k: key } };
      assert.throws(
        () => parse(config),
        (error: Error) => error.name === 'ConfigurationError' && !error.message.includes(key.key),
      );
    }
  });
});
