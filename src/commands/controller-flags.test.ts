import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { CONTROLLER_FLAGS, isOff, toDurationMs, toLogEncoding, toLogLevel, toNamespaces } from './controller-flags.ts';
import { parseFlags } from './flags.ts';

describe('CONTROLLER_FLAGS', () => {
  test('without flags, all is as in the Go program', () => {
    assert.deepEqual(parseFlags(CONTROLLER_FLAGS, []).values, {
      'metrics-addr': ':8080',
      'health-addr': ':8081',
      'enable-leader-election': false,
      'cluster-resource-namespace': '',
      'disable-approved-check': false,
      version: false,
      'zap-log-level': 'info',
      'zap-encoder': 'json',
      kubeconfig: '',
      'leader-election-namespace': '',
      'disable-kubernetes-csr-controller': false,
      'max-concurrent-reconciles': 16,
      'max-retry-duration': '5m',
      namespaces: '',
    });
  });

  test("takes the arguments of the Go program's manifests", () => {
    const words = [
      '--health-addr=:8081',
      '--metrics-addr=127.0.0.1:8080',
      '--enable-leader-election',
      '-cluster-resource-namespace',
      'cfssl-issuer',
      '--disable-approved-check=true',
      '--zap-log-level=5',
      '--zap-encoder=console',
    ];
    const { values, rest } = parseFlags(CONTROLLER_FLAGS, words);
    assert.deepEqual(rest, []);
    assert.deepEqual(
      { ...values },
      {
        ...parseFlags(CONTROLLER_FLAGS, []).values,
        'metrics-addr': '127.0.0.1:8080',
        'enable-leader-election': true,
        'cluster-resource-namespace': 'cfssl-issuer',
        'disable-approved-check': true,
        'zap-log-level': '5',
        'zap-encoder': 'console',
      },
    );
  });

  for (const name of ['metrics-addr', 'health-addr'] as const) {
    for (const address of ['0', '', ':0', '[::1]:8080']) {
      test(`--${name} may be ${JSON.stringify(address)}`, () => {
        assert.equal(parseFlags(CONTROLLER_FLAGS, [`--${name}=${address}`]).values[name], address);
      });
    }
  }

  const bad: readonly [word: string, message: string][] = [
    ['--metrics-addr=8080', 'Flag --metrics-addr: Cannot listen on "8080": want host:port, [IPv6]:port or :port'],
    ['--health-addr=:x', 'Flag --health-addr: Cannot listen on ":x": want host:port, [IPv6]:port or :port'],
    ['--zap-log-level=0', 'Flag --zap-log-level: wants debug, info, error or a whole number above 0, not "0"'],
    ['--zap-encoder=xml', 'Flag --zap-encoder: wants json or console, not "xml"'],
    ['--max-concurrent-reconciles=0', 'Flag --max-concurrent-reconciles wants a whole number from 1 to 1000, not "0"'],
    ['--max-retry-duration=5', 'Flag --max-retry-duration: wants a duration like 30s or 5m, not "5"'],
  ];
  for (const [word, message] of bad) {
    test(`${word} is refused`, () => {
      assert.throws(() => parseFlags(CONTROLLER_FLAGS, [word]), new ConfigError(message));
    });
  }

  test('each flag has a help of one sentence', () => {
    for (const { name, help } of CONTROLLER_FLAGS) assert.match(help, /^[A-Z].*[^.]\.$/, name);
  });
});

describe('toLogLevel()', () => {
  for (const [text, expected] of [
    ['debug', 'debug'],
    ['info', 'info'],
    ['warn', 'warn'],
    ['error', 'error'],
    ['panic', 'error'],
    ['1', 'debug'],
    ['127', 'debug'],
  ] as const) {
    test(`${text} is ${expected}`, () => {
      assert.equal(toLogLevel(text), expected);
    });
  }

  for (const text of ['', '0', '-1', '1.5', 'trace', 'constructor']) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => toLogLevel(text), {
        message: `wants debug, info, error or a whole number above 0, not "${text}"`,
      });
    });
  }

  test('case does not matter, as in controller-runtime', () => {
    assert.deepEqual(['INFO', 'Debug', 'ERROR'].map(toLogLevel), ['info', 'debug', 'error']);
  });
});

describe('toLogEncoding()', () => {
  test('is json or console', () => {
    assert.deepEqual(['json', 'console'].map(toLogEncoding), ['json', 'console']);
    assert.throws(() => toLogEncoding('xml'), { message: 'wants json or console, not "xml"' });
  });

  test('case does not matter, as in controller-runtime', () => {
    assert.deepEqual(['JSON', 'Console'].map(toLogEncoding), ['json', 'console']);
  });
});

describe('toDurationMs()', () => {
  test('is a Go duration', () => {
    assert.deepEqual(['0', '30s', '5m', '1h30m'].map(toDurationMs), [0, 30_000, 300_000, 5_400_000]);
  });

  for (const text of ['', '5', '-5s', 'soon']) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => toDurationMs(text), { message: `wants a duration like 30s or 5m, not "${text}"` });
    });
  }
});

describe('toNamespaces()', () => {
  test('is a list, each name once, and nothing for all namespaces', () => {
    assert.equal(toNamespaces(''), undefined);
    assert.deepEqual(toNamespaces('team-a'), ['team-a']);
    assert.deepEqual(toNamespaces('team-b, team-a,team-b'), ['team-b', 'team-a']);
  });

  for (const text of [',', 'a,', 'Team', 'a/b', '-a', 'a-', '*', 'a'.repeat(64)]) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.throws(() => toNamespaces(text), /wants names of namespaces, separated by commas; ".*" is none/);
    });
  }
});

describe('isOff()', () => {
  test('is so for 0 and for nothing, and for no port', () => {
    assert.deepEqual(['0', '', ':0', ':8080', '00'].map(isOff), [true, true, false, false, false]);
  });
});
