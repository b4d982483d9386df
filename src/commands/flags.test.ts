import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { type Flag, type FlagValues, formatFlags, parseFlags } from './flags.ts';

const TABLE = [
  { name: 'addr', type: 'text', default: ':8080', help: 'Where to listen.' },
  {
    name: 'level',
    type: 'text',
    default: '',
    help: 'How much to say.',
    check: (text: string) => {
      if (text === 'loud') throw new Error('wants a whisper');
    },
  },
  { name: 'elect', type: 'boolean', default: false, help: 'Whether to elect.' },
  { name: 'workers', type: 'integer', default: 16, min: 1, max: 1000, help: 'How many at a time.' },
] as const satisfies readonly Flag[];

type Values = FlagValues<typeof TABLE>;
const defaults: Values = { addr: ':8080', level: '', elect: false, workers: 16 };

type GoodCase = readonly [
  name: string,
  words: readonly string[],
  values: Partial<Values>,
  rest?: readonly string[] | undefined,
];

describe('parseFlags()', () => {
  const good: readonly GoodCase[] = [
    ['no words give the defaults', [], {}],
    ['--name=value', ['--addr=:1'], { addr: ':1' }],
    ['--name value', ['--addr', ':1'], { addr: ':1' }],
    ['-name=value', ['-addr=:1'], { addr: ':1' }],
    ['-name value', ['-addr', ':1'], { addr: ':1' }],
    ['a value may be empty after =', ['--addr='], { addr: '' }],
    ['a value may be an empty word', ['--addr', ''], { addr: '' }],
    ['a value may hold =', ['--addr=a=b'], { addr: 'a=b' }],
    ['a value may hold line breaks', ['--addr=a\nb'], { addr: 'a\nb' }],
    ['a value may look like a flag', ['--addr', '--elect'], { addr: '--elect' }],
    ['a value may be --', ['--addr', '--', '--elect'], { addr: '--', elect: true }],
    ['the last of several counts', ['--addr=:1', '-addr', ':2'], { addr: ':2' }],
    ['flags in any order', ['--elect', '--workers=2', '-addr', ':1'], { addr: ':1', elect: true, workers: 2 }],

    ['a boolean alone is true', ['--elect'], { elect: true }],
    ['with one dash too', ['-elect'], { elect: true }],
    ['a boolean takes no word after it', ['--elect', 'false', '--addr=:1'], { elect: true }, ['false', '--addr=:1']],
    ...['1', 't', 'T', 'true', 'TRUE', 'True'].map(
      (text) => [`a boolean is true by =${text}`, [`--elect=${text}`], { elect: true }] as const,
    ),
    ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map(
      (text) => [`a boolean is false by =${text}`, ['--elect', `--elect=${text}`], { elect: false }] as const,
    ),

    ['an integer', ['--workers', '1000'], { workers: 1000 }],
    ['an integer with a sign', ['--workers=+1'], { workers: 1 }],
    ['an integer with zeros before it', ['--workers=0007'], { workers: 7 }],

    ['-- ends the flags', ['--elect', '--', '--addr=:1'], { elect: true }, ['--addr=:1']],
    ['a word that is no flag ends them', ['--elect', 'check', '--addr=:1'], { elect: true }, ['check', '--addr=:1']],
    ['so does a single dash', ['-', '--elect'], {}, ['-', '--elect']],
    ['so does an empty word', ['', '--elect'], {}, ['', '--elect']],
    ['so does one with three dashes', ['---elect'], {}, ['---elect']],
    ['so does one without a name', ['--=1'], {}, ['--=1']],
  ];
  for (const [name, words, values, rest = []] of good) {
    test(name, () => {
      assert.deepEqual(parseFlags(TABLE, words), { values: { ...defaults, ...values }, rest });
    });
  }

  const bad: readonly (readonly [name: string, words: readonly string[], message: string])[] = [
    ['an unknown flag', ['--unknown'], 'Unknown flag --unknown; --help lists all flags'],
    ['an unknown flag with a value', ['-unknown=1'], 'Unknown flag --unknown; --help lists all flags'],
    ['a property that every object has', ['--__proto__=1'], 'Unknown flag --__proto__; --help lists all flags'],
    ['another such', ['--constructor'], 'Unknown flag --constructor; --help lists all flags'],
    ['a name in another case', ['--Elect'], 'Unknown flag --Elect; --help lists all flags'],
    ['a text without a value', ['--elect', '--addr'], 'Flag --addr needs a value'],
    ['an integer without a value', ['--workers'], 'Flag --workers needs a value'],
    ['a boolean by another word', ['--elect=yes'], 'Flag --elect wants true or false, not "yes"'],
    ['a boolean by an empty word', ['--elect='], 'Flag --elect wants true or false, not ""'],
    ['a value that its check refuses', ['--level=loud'], 'Flag --level: wants a whisper'],
    ...['0', '1001', '-1', '1.5', '1e2', '0x10', '', ' 1', 'many', 'Infinity'].map(
      (text) =>
        [
          `an integer ${JSON.stringify(text)}`,
          ['--workers', text],
          `Flag --workers wants a whole number from 1 to 1000, not "${text}"`,
        ] as const,
    ),
  ];
  for (const [name, words, message] of bad) {
    test(`${name} is refused`, () => {
      assert.throws(() => parseFlags(TABLE, words), new ConfigError(message));
    });
  }

  test('a bad flag is refused wherever it stands among the flags', () => {
    assert.throws(() => parseFlags(TABLE, ['--elect=yes', '--unknown']), { name: 'ConfigError', message: /--elect/ });
  });
});

describe('formatFlags()', () => {
  test('gives each flag, what it takes, what it is for and its default', () => {
    assert.equal(
      formatFlags(TABLE),
      `  --addr VALUE
      Where to listen. (default :8080)
  --level VALUE
      How much to say.
  --elect
      Whether to elect.
  --workers N
      How many at a time. (default 16)
`,
    );
  });
});
