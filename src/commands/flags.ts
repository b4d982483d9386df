/**
 * Command-line flags as Go's `flag` package reads them, since existing deployments pass them in any of its forms:
 * `-name value`, `--name value`, `--name=value`; a boolean takes a value only after `=`; `--` and the first word that
 * is no flag end them. One table per command is the source of parsing, of `--help` and of the reference in docs/.
 */
import { ConfigError } from './config-error.ts';

interface FlagBase {
  readonly name: string;
  /** One sentence; the default is printed behind it. */
  readonly help: string;
}
export interface TextFlag extends FlagBase {
  readonly type: 'text';
  readonly default: string;
  /** Refuses a value by throwing; the message says what is wanted. */
  readonly check?: (value: string) => void;
}
export interface BooleanFlag extends FlagBase {
  readonly type: 'boolean';
  readonly default: false;
}
export interface IntegerFlag extends FlagBase {
  readonly type: 'integer';
  readonly default: number;
  readonly min: number;
  readonly max: number;
}
export type Flag = TextFlag | BooleanFlag | IntegerFlag;

type ValueOf<F extends Flag> = F extends BooleanFlag ? boolean : F extends IntegerFlag ? number : string;
export type FlagValues<T extends readonly Flag[]> = { readonly [F in T[number] as F['name']]: ValueOf<F> };

export interface ParsedFlags<T extends readonly Flag[]> {
  readonly values: FlagValues<T>;
  /** The words after the flags. */
  readonly rest: readonly string[];
}

/** Go's spellings of a boolean (`strconv.ParseBool`). */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

/** @throws ConfigError naming the flag, the value and what is wanted. */
export function parseFlags<const T extends readonly Flag[]>(table: T, words: readonly string[]): ParsedFlags<T> {
  const values: Record<string, string | number | boolean> = {};
  for (const flag of table) values[flag.name] = flag.default;
  let at = 0;
  for (; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (word === '--') {
      at += 1;
      break;
    }
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word);
    if (match === null) break;
    const [, name = '', inline] = match;
    const flag = table.find((candidate) => candidate.name === name);
    if (flag === undefined) throw new ConfigError(`Unknown flag --${name}; --help lists all flags`);
    const separate = inline === undefined && flag.type !== 'boolean';
    if (separate) at += 1;
    const text = separate ? words[at] : inline;
    if (text === undefined && flag.type !== 'boolean') throw new ConfigError(`Flag --${name} needs a value`);
    values[name] = parseValue(flag, text ?? 'true');
  }
  return { values: values as FlagValues<T>, rest: words.slice(at) };
}

function parseValue(flag: Flag, text: string): string | number | boolean {
  switch (flag.type) {
    case 'boolean': {
      const value = BOOLEANS.get(text);
      if (value === undefined) throw new ConfigError(`Flag --${flag.name} wants true or false, not "${text}"`);
      return value;
    }
    case 'integer': {
      const value = Number(text);
      if (!/^[+-]?\d+$/.test(text) || value < flag.min || value > flag.max) {
        throw new ConfigError(
          `Flag --${flag.name} wants a whole number from ${flag.min} to ${flag.max}, not "${text}"`,
        );
      }
      return value;
    }
    case 'text':
      try {
        flag.check?.(text);
      } catch (error) {
        throw new ConfigError(`Flag --${flag.name}: ${(error as Error).message}`, { cause: error });
      }
      return text;
  }
}

/** The table as help text: a line or two a flag, in the order of the table. */
export function formatFlags(table: readonly Flag[]): string {
  return table
    .map((flag) => {
      const fallback = flag.default === '' || flag.default === false ? '' : ` (default ${String(flag.default)})`;
      const kind = flag.type === 'boolean' ? '' : ` ${flag.type === 'integer' ? 'N' : 'VALUE'}`;
      return `  --${flag.name}${kind}\n      ${flag.help}${fallback}\n`;
    })
    .join('');
}
