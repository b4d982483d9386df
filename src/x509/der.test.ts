import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toHex } from './bytes.ts';
import { DerReader, openSequence, TAG } from './der.ts';
import { der, header, oid } from './testing/authority.ts';

const reader = (hex: string): DerReader => new DerReader(Buffer.from(hex, 'hex'), 'CSR');
const fails = (message: string | RegExp, code = 'X509_DER') => ({ name: 'X509Error', code, message });

describe('DerReader', () => {
  test('readElement() gives tag, content and encoding', () => {
    const { tag, content, encoded } = reader('020105ff').readElement('it');
    assert.deepEqual(
      { tag, content: toHex(content), encoded: toHex(encoded) },
      { tag: 2, content: '05', encoded: '020105' },
    );
  });

  test('readElement() takes lengths of one to four bytes', () => {
    for (const length of [0, 127, 128, 255, 256, 65_535, 65_536, 16_777_216]) {
      const element = new DerReader(der(0x04, new Uint8Array(length)), 'CSR').readElement('it');
      assert.equal(element.content.length, length);
    }
  });

  const malformed: readonly (readonly [string, string, string])[] = [
    ['nothing', '', 'it is truncated'],
    ['a tag alone', '02', 'it is truncated'],
    ['a length that ends early', '0282', 'it is truncated'],
    ['content that ends early', '020205', 'it is truncated'],
    ['an indefinite length', '308002010500', 'it has an indefinite length'],
    ['a long form for a short length', '02810105', 'it has a length that is not minimal'],
    ['a leading zero in a length', `04820080${'00'.repeat(128)}`, 'it has a length that is not minimal'],
    ['a length of five bytes', '04850100000000', 'it has a length of 5 bytes'],
    ['a tag of several bytes', '1f2001', 'it has a tag of several bytes'],
  ];
  for (const [name, hex, state] of malformed) {
    test(`readElement() refuses ${name}`, () => {
      assert.throws(() => reader(hex).readElement('it'), fails(`Cannot parse CSR: ${state}`));
    });
  }

  test('read() names the tag that it sees', () => {
    assert.throws(() => reader('0500').read(TAG.integer, 'it'), fails('Cannot parse CSR: it has tag 0x05, not 0x02'));
    assert.throws(() => reader('').read(TAG.integer, 'it'), fails('Cannot parse CSR: it is missing, not 0x02'));
  });

  test('end() counts what is left', () => {
    assert.throws(() => reader('00').end('it'), fails('Cannot parse CSR: 1 byte follows it'));
    assert.throws(() => reader('0000').end('it'), fails('Cannot parse CSR: 2 bytes follow it'));
    reader('').end('it');
  });

  test('readBoolean() takes 00 and ff only', () => {
    assert.deepEqual([reader('0101ff').readBoolean('it'), reader('010100').readBoolean('it')], [true, false]);
    for (const hex of ['010101', '0100', '0102ffff']) {
      assert.throws(() => reader(hex).readBoolean('it'), fails('Cannot parse CSR: it is no DER BOOLEAN'));
    }
  });

  test('readInteger() takes minimal two’s complement only', () => {
    for (const hex of ['020100', '02017f', '02020080', '020180', '0202ff7f']) {
      assert.equal(toHex(reader(hex).readInteger('it')), hex.slice(4));
    }
    for (const hex of ['0200', '02020001', '0202007f', '0202ff80', '0202ffff']) {
      assert.throws(() => reader(hex).readInteger('it'), fails('Cannot parse CSR: it is no minimal INTEGER'));
    }
  });

  test('readSmallInteger() takes 0 to 2^31 - 1', () => {
    const read = (hex: string) => reader(hex).readSmallInteger('it');
    assert.deepEqual(['020100', '02020080', '02047fffffff'].map(read), [0, 128, 2 ** 31 - 1]);
    for (const hex of ['0201ff', '02050080000000']) {
      assert.throws(() => read(hex), fails('Cannot parse CSR: it is out of range', 'X509_CONTENT'));
    }
  });

  test('readBitString() takes zero padding below eight bits only', () => {
    const { unusedBits, bytes } = reader('030205a0').readBitString('it');
    assert.deepEqual({ unusedBits, bytes: toHex(bytes) }, { unusedBits: 5, bytes: 'a0' });
    for (const hex of ['0300', '030101', '030208a0', '030205a1']) {
      assert.throws(() => reader(hex).readBitString('it'), fails('Cannot parse CSR: it is no DER BIT STRING'));
    }
    assert.throws(() => reader('030204a0').readBitStringBytes('it'), fails('Cannot parse CSR: it has 4 unused bits'));
  });

  test('readOid() reads what was written', () => {
    for (const dotted of [
      '0.9.2342.19200300.100.1.1',
      '1.2.840.113549.1.1.1',
      '2.5.29.17',
      '2.999.3',
      '2.5.2147483647',
    ]) {
      assert.equal(new DerReader(oid(dotted), 'CSR').readOid('it'), dotted);
    }
    assert.equal(reader('060127').readOid('it'), '0.39');
    assert.equal(reader('060128').readOid('it'), '1.0');
    assert.equal(reader('060150').readOid('it'), '2.0');
  });

  test('readOid() refuses none, padding, an open end and huge arcs', () => {
    assert.throws(() => reader('0600').readOid('it'), fails('Cannot parse CSR: it is no OBJECT IDENTIFIER'));
    assert.throws(() => reader('06032a8001').readOid('it'), fails('Cannot parse CSR: it is padded'));
    assert.throws(() => reader('06022a81').readOid('it'), fails('Cannot parse CSR: it is no OBJECT IDENTIFIER'));
    assert.throws(() => reader('06062a8880808000').readOid('it'), fails(/an arc above 2147483647$/));
  });

  test('readOid() refuses more than 64 bytes', () => {
    const long = (length: number) => new DerReader(der(0x06, Buffer.alloc(length, 1)), 'CSR').readOid('it');
    assert.equal(long(64).length, 129);
    assert.throws(() => long(65), fails('Cannot parse CSR: it has 65 bytes', 'X509_LIMIT'));
  });

  test('walk() refuses deep nesting without deep recursion, and takes 32 levels', () => {
    const nested = (levels: number): Uint8Array => {
      const headers: Uint8Array[] = [];
      let length = 0;
      while (headers.length < levels) {
        const outer = header(0x30, length);
        headers.unshift(outer);
        length += outer.length;
      }
      return Buffer.concat(headers);
    };
    new DerReader(nested(31), 'CSR').walk();
    const tooDeep = fails('Cannot parse CSR: it is nested deeper than 32 levels', 'X509_LIMIT');
    assert.throws(() => new DerReader(nested(32), 'CSR').walk(), tooDeep);
    assert.throws(() => new DerReader(nested(20_000), 'CSR').walk(), tooDeep);
  });

  test('openSequence() refuses bytes after it and bad DER deep inside', () => {
    const open = (hex: string) => openSequence(Buffer.from(hex, 'hex'), 'certificate', 'the outer SEQUENCE');
    assert.throws(() => open('30000500'), fails('Cannot parse certificate: 2 bytes follow the outer SEQUENCE'));
    assert.throws(() => open('30043002027f'), fails('Cannot parse certificate: an element is truncated'));
    assert.throws(() => open('3100'), fails('Cannot parse certificate: the outer SEQUENCE has tag 0x31, not 0x30'));
    open('3000').end('it');
  });
});
