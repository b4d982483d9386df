/**
 * The command's flags, as Go's package flag reads them: `-name value`, `-name=value`, with one dash or two; a boolean takes
 * a value only behind `=`. The first five are multirootca's.
 */
import { ConfigurationError } from './configuration-error.ts';

interface Flag {
  readonly value: string;
  readonly help: string;
}

const TEXT_FLAGS = {
  a: { value: ':8888', help: 'Listening address.' },
  l: { value: '', help: 'The label of requests that name none.' },
  roots: { value: '', help: 'Roots file, as of multirootca. Without it, a CA is made.' },
  'tls-cert': { value: '', help: 'Server certificate; turns TLS on.' },
  'tls-key': { value: '', help: 'Server private key.' },
  loglevel: { value: '1', help: 'Log level (0 = DEBUG, 5 = FATAL).' },
  folder: { value: '', help: 'Keeps the CA that is made there, private keys included, and uses it again.' },
} as const satisfies Readonly<Record<string, Flag>>;

const BUNDLE_HELP = 'Answers "bundle": true as the Wikimedia fork does; -bundle=false ignores it, as upstream does.';

export type TextFlags = Readonly<Record<keyof typeof TEXT_FLAGS, string>>;

export interface Flags extends TextFlags {
  readonly bundle: boolean;
  readonly help: boolean;
}

/** Go's spellings of a boolean. */
const TRUE = /^(?:1|t|T|true|TRUE|True)$/;
const FALSE = /^(?:0|f|F|false|FALSE|False)$/;

/** @throws ConfigurationError */
export function parseFlags(words: readonly string[]): Flags {
  const texts: Record<string, string> = Object.fromEntries(
    Object.entries(TEXT_FLAGS).map(([name, { value }]) => [name, value]),
  );
  const switches = { bundle: true, help: false };
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name = '', inline] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    if (name === 'h' || name === 'help') switches.help = true;
    else if (name === 'bundle') switches.bundle = parseBoolean(name, inline ?? 'true');
    else if (Object.hasOwn(TEXT_FLAGS, name)) texts[name] = inline ?? takeValue(name, rest);
    else throw new ConfigurationError(`unknown flag or argument "${word}"; -help lists all flags`);
  }
  if (!/^[0-5]$/.test(texts['loglevel'] ?? '')) throw new ConfigurationError('-loglevel wants a number from 0 to 5');
  return { ...(texts as TextFlags), ...switches };
}

function takeValue(name: string, rest: string[]): string {
  const value = rest.shift();
  if (value === undefined) throw new ConfigurationError(`-${name} needs a value`);
  return value;
}

function parseBoolean(name: string, text: string): boolean {
  if (TRUE.test(text)) return true;
  if (FALSE.test(text)) return false;
  throw new ConfigurationError(`-${name} wants true or false, not "${text}"`);
}

/** `host:port`, `[v6]:port`, or `:port` for all interfaces, as Go listens. @throws ConfigurationError */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain = '', port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new ConfigurationError(`-a wants host:port, [IPv6]:port or :port, not "${text}"`);
  }
  return { host: bracketed ?? plain, port: Number(port) };
}

export function formatHelp(): string {
  const lines = Object.entries<Flag>(TEXT_FLAGS).map(
    ([name, { value, help }]) => `  -${name} VALUE\n      ${help}${value === '' ? '' : ` (default ${value})`}\n`,
  );
  return `${lines.join('')}  -bundle\n      ${BUNDLE_HELP} (default true)\n`;
}
