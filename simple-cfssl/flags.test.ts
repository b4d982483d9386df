import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { formatHelp, parseAddress, parseFlags } from './flags.ts';

const DEFAULTS = {
  a: ':8888',
  l: '',
  roots: '',
  'tls-cert': '',
  'tls-key': '',
  loglevel: '1',
  folder: '',
  bundle: true,
  help: false,
};

describe('parseFlags', () => {
  test('has the defaults of multirootca', () => {
    assert.deepEqual(parseFlags([]), DEFAULTS);
  });

  test("takes all of Go's forms", () => {
    assert.deepEqual(parseFlags(['-a', '127.0.0.1:1', '--roots=x=y', '-loglevel=0', '--l', 'one', '-bundle=F']), {
      ...DEFAULTS,
      a: '127.0.0.1:1',
      roots: 'x=y',
      loglevel: '0',
      l: 'one',
      bundle: false,
    });
    assert.equal(parseFlags(['-h']).help, true);
  });

  test('refuses what it cannot use', () => {
    for (const words of [['-nope'], ['word'], ['-a'], ['-loglevel', '9'], ['-bundle=perhaps'], ['--'], ['---a', 'x']]) {
      assert.throws(() => parseFlags(words), { name: 'ConfigurationError' }, words.join(' '));
    }
  });

  test('explains every flag', () => {
    for (const name of Object.keys(DEFAULTS))
      if (name !== 'help') assert.match(formatHelp(), new RegExp(`^  -${name}\\b`, 'm'));
  });
});

test('parseAddress() reads what Go listens on', () => {
  assert.deepEqual(parseAddress(':8888'), { host: '', port: 8888 });
  assert.deepEqual(parseAddress('[::1]:0'), { host: '::1', port: 0 });
  assert.throws(() => parseAddress('localhost'), { name: 'ConfigurationError' });
  assert.throws(() => parseAddress(':65536'), { name: 'ConfigurationError' });
});
