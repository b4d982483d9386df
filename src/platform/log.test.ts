import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLogger, errorFields, type Logger, type LoggerOptions } from './log.ts';

const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;

function start(options: Partial<LoggerOptions> = {}): { log: Logger; lines: string[]; records: () => object[] } {
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', encoding: 'json', write: (line) => lines.push(line), ...options });
  const records = (): object[] =>
    lines.map((line) => {
      const { time, ...record } = JSON.parse(line) as { time: string };
      assert.match(time, TIME);
      return record;
    });
  return { log, lines, records };
}

describe('createLogger()', () => {
  test('json is one line a record: time, level, message and fields', () => {
    const { log, lines, records } = start();
    log.debug({}, 'One');
    log.info({ issuer: 'a\nb', count: 2 }, 'Two');
    log.warn({ nested: { a: [1] } }, 'Three');
    log.error({}, 'Four');
    assert.deepEqual(records(), [
      { level: 'debug', msg: 'One' },
      { level: 'info', issuer: 'a\nb', count: 2, msg: 'Two' },
      { level: 'warn', nested: { a: [1] }, msg: 'Three' },
      { level: 'error', msg: 'Four' },
    ]);
    for (const line of lines) assert.match(line, /^[^\n]+\n$/);
  });

  test('console is one line a record, for people', () => {
    const { log, lines } = start({ encoding: 'console' });
    log.info({ issuer: 'a\nb', count: 2, nested: { a: 1 } }, 'Issuer is ready');
    log.error({}, 'Failed');
    assert.deepEqual(
      lines.map((line) => line.replace(TIME, 'TIME')),
      ['TIME INFO  Issuer is ready issuer="a\\nb" count=2 nested={"a":1}\n', 'TIME ERROR Failed\n'],
    );
  });

  for (const [level, expected] of [
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['info', ['info', 'warn', 'error']],
    ['warn', ['warn', 'error']],
    ['error', ['error']],
  ] as const) {
    test(`level ${level} writes ${expected.join(', ')}`, () => {
      const { log, records } = start({ level });
      for (const each of ['debug', 'info', 'warn', 'error'] as const) log[each]({}, each);
      assert.deepEqual(
        records(),
        expected.map((each) => ({ level: each, msg: each })),
      );
    });
  }

  test('child() adds its fields to each record', () => {
    const { log, records } = start();
    log.child({ controller: 'issuer' }).child({ object: 'a' }).info({ failures: 1 }, 'Failed');
    assert.deepEqual(records(), [{ level: 'info', controller: 'issuer', object: 'a', failures: 1, msg: 'Failed' }]);
  });

  test('a message is never a format', () => {
    const { log, records } = start();
    log.info({ percent: '%s' }, 'All of 100 %s %d %o %%');
    assert.deepEqual(records(), [{ level: 'info', percent: '%s', msg: 'All of 100 %s %d %o %%' }]);
  });

  for (const encoding of ['json', 'console'] as const) {
    test(`${encoding} shows no value of a secret's field, also one level down and in a child's fields`, () => {
      const { log, lines } = start({ encoding });
      const names = ['key', 'key_next', 'token', 'authorization', 'password', 'request', 'additional_data'];
      const secrets = Object.fromEntries(names.map((name) => [name, 's3cret']));
      log.info(secrets, 'At the top');
      log.info({ body: secrets }, 'One level down');
      log.child({ body: secrets, ...secrets }).info({}, 'Of a child');
      assert.equal(lines.length, 3);
      assert.doesNotMatch(lines.join(''), /s3cret/);
      assert.match(lines.join(''), /\[Redacted\]/);
    });
  }
});

describe('errorFields()', () => {
  const cases: readonly [name: string, error: unknown, expected: object][] = [
    ['an error by its message', new Error('Failed'), { error: 'Failed' }],
    [
      'with its code',
      Object.assign(new Error('Failed'), { code: 'ECONNRESET' }),
      { error: 'Failed', code: 'ECONNRESET' },
    ],
    ['not with a code that is no text', Object.assign(new Error('Failed'), { code: 500 }), { error: 'Failed' }],
    [
      'with its causes',
      new Error('Outer', { cause: Object.assign(new Error('Inner', { cause: 'why' }), { code: 'X' }) }),
      { error: 'Outer', cause: { error: 'Inner', code: 'X', cause: { error: 'why' } } },
    ],
    ['what is no error as text', 'why', { error: 'why' }],
    ['nothing as text', undefined, { error: 'undefined' }],
  ];
  for (const [name, error, expected] of cases) {
    test(name, () => {
      assert.deepEqual(errorFields(error), expected);
    });
  }
});
