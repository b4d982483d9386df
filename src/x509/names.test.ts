import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { DerReader, TAG } from './der.ts';
import { printable } from './errors.ts';
import { describeName, nameKey, parseGeneralNames, type SubjectAltName } from './general-names.ts';
import { formatName, parseName } from './name.ts';
import { attribute, cn, der, int, oid, seq, set, text, withOneMore } from './testing/authority.ts';

const names = (...encoded: readonly Uint8Array[]) => parseGeneralNames(new DerReader(Buffer.concat(encoded), 'CSR'));
const name = (...rdns: readonly Uint8Array[]) => parseName(new DerReader(Buffer.concat(rdns), 'CSR'));

describe('parseGeneralNames', () => {
  const otherName = (value: Uint8Array) => der(0xa0, oid('1.2.3'), der(0xa0, value));
  const ip = (hex: string) => der(0x87, Buffer.from(hex, 'hex'));
  const rows: readonly (readonly [Uint8Array, SubjectAltName, string])[] = [
    [text('*.A_b.example', 0x82), { kind: 'dns', value: '*.A_b.example' }, 'DNS:*.A_b.example'],
    [text('"a b"@c', 0x81), { kind: 'email', value: '"a b"@c' }, 'email:"a b"@c'],
    [text('spiffe://a/b', 0x86), { kind: 'uri', value: 'spiffe://a/b' }, 'URI:spiffe://a/b'],
    [ip('0a000001'), { kind: 'ip', value: '10.0.0.1' }, 'IP:10.0.0.1'],
    [ip('20010db8000000000000000000000001'), { kind: 'ip', value: '2001:db8::1' }, 'IP:2001:db8::1'],
    [ip('20010000000000010000000000000001'), { kind: 'ip', value: '2001:0:0:1::1' }, 'IP:2001:0:0:1::1'],
    [ip('00000000000000000000000000000000'), { kind: 'ip', value: '::' }, 'IP:::'],
    [ip('00000000000000000000ffff0a000001'), { kind: 'ip', value: '10.0.0.1' }, 'IP:10.0.0.1'],
    [ip('00000000000000000000fe0f0a000001'), { kind: 'ip', value: '::fe0f:a00:1' }, 'IP:::fe0f:a00:1'],
    [ip('000000000000000000000fff0a000001'), { kind: 'ip', value: '::fff:a00:1' }, 'IP:::fff:a00:1'],
    [ip('00000000000000000000ff000a000001'), { kind: 'ip', value: '::ff00:a00:1' }, 'IP:::ff00:a00:1'],
    [ip('00000000000000000001ffff0a000001'), { kind: 'ip', value: '::1:ffff:a00:1' }, 'IP:::1:ffff:a00:1'],
    [otherName(text('ä')), { kind: 'other', value: 'otherName:1.2.3=ä' }, 'otherName:1.2.3=ä'],
    [otherName(int(5)), { kind: 'other', value: 'otherName:1.2.3=#020105' }, 'otherName:1.2.3=#020105'],
    [
      otherName(text('#020105')),
      { kind: 'other', value: 'otherName:1.2.3=#0c0723303230313035' },
      'otherName:1.2.3=#0c0723303230313035',
    ],
    [der(0xa4, seq(cn('a'), cn('b'))), { kind: 'other', value: 'directoryName:CN=b,CN=a' }, 'directoryName:CN=b,CN=a'],
    [der(0x88, Buffer.of(0x2a, 3)), { kind: 'other', value: 'registeredID:1.2.3' }, 'registeredID:1.2.3'],
    [der(0xa3, int(1)), { kind: 'other', value: 'x400Address:020101' }, 'x400Address:020101'],
    [der(0xa5, int(1)), { kind: 'other', value: 'ediPartyName:020101' }, 'ediPartyName:020101'],
  ];
  for (const [encoded, expected, description] of rows) {
    test(`reads ${description}`, () => {
      assert.deepEqual(names(encoded), [expected]);
      assert.equal(describeName(expected), description);
    });
  }

  test('refuses an element more in any place', () => {
    const places = [...withOneMore(otherName(text('x'))), ...withOneMore(der(0xa4, seq(cn('a'))))];
    assert.equal(places.length, 6);
    for (const place of places) assert.throws(() => names(place), { name: 'X509Error', code: 'X509_DER' });
  });

  test('keeps long directory names apart', () => {
    const directoryName = (end: string) => der(0xa4, seq(cn('a'.repeat(300) + end)));
    const [a, b] = names(directoryName('a'), directoryName('b'));
    assert.notDeepEqual(a, b);
  });
});

describe('nameKey', () => {
  test('ignores the case of DNS names and of nothing else', () => {
    const same = (kind: SubjectAltName['kind']) => nameKey({ kind, value: 'A' }) === nameKey({ kind, value: 'a' });
    assert.deepEqual((['dns', 'ip', 'email', 'uri', 'other'] as const).map(same), [true, false, false, false, false]);
  });

  test('ignores the case of the scheme of a URI', () => {
    const key = (value: string) => nameKey({ kind: 'uri', value });
    assert.equal(key('SPIFFE://a/b'), key('spiffe://a/b'));
    assert.notEqual(key('spiffe://a/B'), key('spiffe://a/b'));
    assert.notEqual(key('/A:b'), key('/a:b'));
  });

  test('tells the kinds apart', () => {
    const keys = (['dns', 'ip', 'email', 'uri', 'other'] as const).map((kind) => nameKey({ kind, value: 'a' }));
    assert.equal(new Set(keys).size, 5);
  });
});

describe('parseName and formatName', () => {
  test('write RFC 4514, most specific part first', () => {
    const ou = set(seq(oid('2.5.4.11'), text('b')), seq(oid('2.5.4.11'), text('c')));
    assert.equal(
      formatName(name(attribute('2.5.4.10', text('d, e')), ou, cn(' a"+\\<>; '))),
      'CN=\\ a\\"\\+\\\\\\<\\>\\;\\ ,OU=b+OU=c,O=d\\, e',
    );
  });

  test('read every string type', () => {
    const value = (tag: number, hex: string) =>
      name(attribute('2.5.4.3', der(tag, Buffer.from(hex, 'hex'))))[0]?.[0]?.value;
    assert.equal(value(TAG.utf8String, 'c3bc'), 'ü');
    assert.equal(value(TAG.printableString, '612a26'), 'a*&');
    assert.equal(value(TAG.ia5String, '6140'), 'a@');
    assert.equal(value(TAG.numericString, '312032'), '1 2');
    assert.equal(value(TAG.teletexString, 'fc'), 'ü');
    assert.equal(value(TAG.bmpString, '00fc4e2d'), 'ü中');
    assert.equal(value(TAG.bitString, '00ff'), '#030200ff');
  });

  test('refuse strings that their type does not allow', () => {
    const rows = [
      [TAG.numericString, '61'],
      [TAG.ia5String, 'fc'],
      [TAG.printableString, '5f'],
      [TAG.bmpString, '00fc4e'],
      [TAG.bmpString, 'd800'],
      [TAG.utf8String, 'eda080'],
      [TAG.bmpString, '0000'],
    ] as const;
    for (const [tag, hex] of rows) {
      assert.throws(() => name(attribute('2.5.4.3', der(tag, Buffer.from(hex, 'hex')))), { code: 'X509_CONTENT' });
    }
  });
});

describe('printable', () => {
  test('escapes what cannot be seen and cuts what is long', () => {
    assert.equal(printable('a b\n\u{202e}é\u00a0中'), 'a b\\u{a}\\u{202e}é\\u{a0}中');
    assert.equal(printable('abc', 2), 'ab…');
  });
});
