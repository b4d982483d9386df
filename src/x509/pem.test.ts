import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePem, parsePem } from './pem.ts';

const options = { object: 'certificate', labels: ['CERTIFICATE'], maxBlocks: 2, maxBytes: 100 } as const;
const DER = Uint8Array.from({ length: 60 }, (_, index) => index);
const PEM = encodePem('CERTIFICATE', DER);

describe('parsePem', () => {
  test('reads what encodePem wrote, with any line ends and text around', () => {
    for (const text of [
      PEM,
      PEM.replaceAll('\n', '\r\n'),
      `# root\n${PEM}\nend`,
      PEM.replaceAll('\n', ' \n'),
      PEM.trim(),
    ]) {
      assert.deepEqual(parsePem(text, options), [DER]);
    }
    assert.deepEqual(parsePem(PEM + PEM, options), [DER, DER]);
    assert.equal(parsePem(encodePem('CERTIFICATE', new Uint8Array(100)), options)[0]?.length, 100);
  });

  const body = PEM.split('\n').slice(1, -2).join('\n');
  const block = (inner: string, label = 'CERTIFICATE') => `-----BEGIN ${label}-----${inner}-----END ${label}-----`;
  const rows: readonly (readonly [string, string, string, string])[] = [
    ['no block', 'text', 'X509_PEM', 'there is no PEM block'],
    ['too many blocks', PEM.repeat(3), 'X509_LIMIT', 'it has more than 2 PEM blocks'],
    [
      'another label',
      block('\nAA==\n', 'PRIVATE KEY'),
      'X509_PEM',
      'there is a PEM block "PRIVATE KEY", not "CERTIFICATE"',
    ],
    ['a label that never ends', '-----BEGIN CERTIFICATE', 'X509_PEM', 'there is a PEM block "", not "CERTIFICATE"'],
    ['no END line', PEM.slice(0, 60), 'X509_PEM', 'a PEM block has no END line'],
    [
      'an END line of another label',
      PEM.replace('END CERTIFICATE', 'END X'),
      'X509_PEM',
      'a PEM block has no END line',
    ],
    ['a boundary inside of a line', `x${PEM}`, 'X509_PEM', 'there are dashes outside of a PEM block'],
    ['an END line alone', `${PEM}-----END CERTIFICATE-----\n`, 'X509_PEM', 'there are dashes outside of a PEM block'],
    ['an empty block', block('\n'), 'X509_PEM', 'a PEM block is no base64'],
    ['a body on the line of BEGIN', block(`${body}\n`), 'X509_PEM', 'a PEM block is no base64'],
    ['END on the line of the body', block(`\n${body}`), 'X509_PEM', 'a PEM block is no base64'],
    ['headers', block(`\nA: b\n\n${body}\n`), 'X509_PEM', 'a PEM block is no base64'],
    ['URL-safe base64', block('\n_-__\n'), 'X509_PEM', 'a PEM block is no base64'],
    ['missing padding', block('\nAA\n'), 'X509_PEM', 'a PEM block is no base64'],
    ['bits after the last byte', block('\nAB==\n'), 'X509_PEM', 'a PEM block is no base64'],
    ['text after padding', block('\nAA==AAAA\n'), 'X509_PEM', 'a PEM block is no base64'],
    [
      'a block above the limit',
      encodePem('CERTIFICATE', new Uint8Array(101)),
      'X509_LIMIT',
      'a PEM block is too large',
    ],
    ['a block far above the limit', block(`\n${' '.repeat(1000)}\n`), 'X509_LIMIT', 'a PEM block is too large'],
  ];
  for (const [name, text, code, state] of rows) {
    test(`refuses ${name}`, () => {
      const message = `Cannot parse certificate: ${state}`;
      assert.throws(() => parsePem(text, options), { name: 'X509Error', code, message });
    });
  }
});

describe('encodePem', () => {
  test('writes lines of 64 and a final newline', () => {
    const lines = encodePem('CERTIFICATE REQUEST', new Uint8Array(49)).split('\n');
    assert.deepEqual(
      lines.map(({ length }) => length),
      [35, 64, 4, 33, 0],
    );
    assert.equal(lines[0], '-----BEGIN CERTIFICATE REQUEST-----');
  });
});
