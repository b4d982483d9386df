/**
 * Structured logging: one JSON line per record on standard output, a constant message plus fields.
 * No secret, token or request body is ever passed to it; the redaction below is the second line of defence.
 */
import { pino, stdTimeFunctions } from 'pino';

export type LogFields = Readonly<Record<string, unknown>>;

/** What every room logs with; `pino` fulfils it. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** `json` for machines; `console` for people: time, level, message and fields on one line. */
export type LogEncoding = 'json' | 'console';

/** Field names whose values never reach the output, one level deep too. */
const SECRET_FIELDS = ['key', 'key_next', 'token', 'authorization', 'password', 'request', 'additional_data'];

export interface LoggerOptions {
  readonly level: LogLevel;
  readonly encoding: LogEncoding;
  /** Takes each finished line, newline included. */
  readonly write: (line: string) => void;
}

export function createLogger({ level, encoding, write }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: 'msg',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]),
    },
    { write: encoding === 'json' ? write : (line: string) => write(toConsoleLine(line)) },
  );
}

function toConsoleLine(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
  return `${String(time)} ${String(level).toUpperCase().padEnd(5)} ${String(msg)}${rest.join('')}\n`;
}

/** An error as log fields, with its causes' messages. */
export function errorFields(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: String(error) };
  const code = 'code' in error && typeof error.code === 'string' ? { code: error.code } : {};
  const cause = error.cause === undefined ? {} : { cause: errorFields(error.cause) };
  return { error: error.message, ...code, ...cause };
}
