import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeSubject, groupSubject, overrideSubject } from './subject.ts';

const attribute = (type: string, value: string) => ({ type, value });

describe('subjects', () => {
  test('are grouped, sorted and put in order', () => {
    const subject = groupSubject([
      attribute('CN', 'old'),
      attribute('OU', 'zz'),
      attribute('emailAddress', 'a@b'),
      attribute('OU', 'ü'),
      attribute('OU', 'a'),
      attribute('CN', 'new'),
      attribute('C', 'DE'),
    ]);
    assert.deepEqual(encodeSubject(subject).toJSON(), [
      { C: ['DE'] },
      { OU: ['a', 'ü', 'zz'] },
      { CN: ['new'] },
      { E: ['a@b'] },
    ]);
  });

  test('have PrintableString where it suffices, else UTF8String', () => {
    const hex = (value: string) =>
      Buffer.from(encodeSubject(groupSubject([attribute('CN', value)])).toArrayBuffer()).toString('hex');
    assert.equal(hex('a'), '300c310a30080603550403130161');
    assert.equal(hex('&'), '300c310a300806035504030c0126');
  });

  test('keep a text that begins with #', () => {
    const der = `#${Buffer.from('\x0c\x05#hash').toString('hex')}`;
    assert.deepEqual(groupSubject([attribute('CN', der)]).common.CN, ['#hash']);
  });

  test('of the request are filled up from the CSR, and others are lost', () => {
    const fromCsr = groupSubject([attribute('CN', 'csr'), attribute('O', 'o'), attribute('UID', 'u')]);
    const none = { C: '', ST: '', L: '', O: '', OU: '', E: '', SerialNumber: '', OID: null };
    const requested = {
      CN: '',
      names: [
        { ...none, OU: 'x' },
        { ...none, OU: 'y' },
      ],
      SerialNumber: '7',
    };
    assert.deepEqual(encodeSubject(overrideSubject(requested, fromCsr)).toJSON(), [
      { O: ['o'] },
      { OU: ['x', 'y'] },
      { CN: ['csr'] },
      { '2.5.4.5': ['7'] },
    ]);
    assert.equal(overrideSubject(undefined, fromCsr), fromCsr);
  });
});
