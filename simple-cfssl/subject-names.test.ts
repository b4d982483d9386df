import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeNames, namesOfCsr, namesOfHosts } from './subject-names.ts';

describe('namesOfHosts', () => {
  // As multirootca 1.7.1 sorts them
  const cases: readonly (readonly [host: string, kind: 'dns' | 'email' | 'ip' | 'uri', value?: string])[] = [
    ['10.1.2.3', 'ip'],
    ['2001:db8::1', 'ip'],
    ['::ffff:1.2.3.4', 'ip', '1.2.3.4'],
    ['u@x.example', 'email'],
    ['Name <u@y.example>', 'email', 'u@y.example'],
    ['https://h.example/p', 'uri'],
    ['/path', 'uri'],
    ['mailto:x@y.example', 'uri'],
    ['localhost:8080', 'uri'],
    ['*', 'uri'],
    ['1.2.3.4:80', 'dns'],
    ['10.0.0.0/8', 'dns'],
    ['http://a b/', 'dns'],
    ['with space', 'dns'],
    ['*.example.com', 'dns'],
    ['x@', 'dns'],
    ['', 'dns'],
  ];
  for (const [host, kind, value = host] of cases) {
    test(`"${host}" is ${kind}`, () => {
      assert.deepEqual(namesOfHosts([host]), { dns: [], email: [], ip: [], uri: [], [kind]: [value] });
    });
  }
});

describe('namesOfCsr', () => {
  const names = [
    { kind: 'uri', value: 'SPIFFE://A/b' },
    { kind: 'ip', value: '::1' },
    { kind: 'other', value: 'registeredID:1.2' },
    { kind: 'email', value: 'a@b' },
    { kind: 'dns', value: 'B' },
    { kind: 'dns', value: 'a' },
  ] as const;

  test('drops other kinds, keeps the order', () => {
    assert.deepEqual(namesOfCsr(names, undefined), {
      dns: ['B', 'a'],
      email: ['a@b'],
      ip: ['::1'],
      uri: ['spiffe://A/b'],
    });
  });

  test('heeds only what the whitelist lets through', () => {
    const whitelist = {
      Subject: true,
      PublicKey: true,
      DNSNames: false,
      IPAddresses: true,
      EmailAddresses: false,
      URIs: false,
    };
    assert.deepEqual(namesOfCsr(names, whitelist), { dns: [], email: [], ip: ['::1'], uri: [] });
  });
});

test('encodeNames() refuses names that are not ASCII', () => {
  const names = { dns: ['ä.example'], email: [], ip: [], uri: [] };
  assert.throws(() => encodeNames(names, false), { message: '"ä.example" cannot be encoded as an IA5String' });
});
