/**
 * Go's times and durations (`time.Parse` with RFC 3339, `time.ParseDuration`). All of this room's dealings with `Date` are
 * here: the clock itself is handed in.
 */
/* oxlint-disable no-restricted-globals -- parses and formats dates, and reads no clock; platform/time.ts is out of reach */

const MINUTE_MS = 60_000;
const LAYOUT = '2006-01-02T15:04:05Z07:00';

/** Go's zero time, which means "not set". */
const ZERO_MS = -62_135_596_800_000;

/** The parts of the layout in order: how each is written, and what Go calls it in its complaints. */
const PARTS = [
  [/^(\d{4})/, '2006', 'year'],
  [/^(-)/, '-'],
  [/^(\d\d)/, '01', 'month'],
  [/^(-)/, '-'],
  [/^(\d\d)/, '02', 'day'],
  [/^(T)/, 'T'],
  [/^(\d\d?)/, '15', 'hour'],
  [/^(:)/, ':'],
  [/^(\d\d)/, '04', 'minute'],
  [/^(:)/, ':'],
  [/^(\d\d(?:[.,]\d+)?)/, '05', 'second'],
  [/^(Z|[+-](?:[01]\d|2[0-4]):(?:[0-5]\d|60))/, 'Z07:00', 'zone'],
] as const;

type Field = 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second' | 'zone';

/**
 * Milliseconds since the epoch, cut to the whole second as certificates have it; undefined for Go's zero time.
 * @throws Error with Go's text
 */
export function parseTime(text: string): number | undefined {
  const fields: Partial<Record<Field, string>> = {};
  const fail = (complaint: string): Error => new Error(`parsing time ${quoteBytes(text)}${complaint}`);
  let rest = text;
  for (const [pattern, element, field] of PARTS) {
    const found = pattern.exec(rest)?.[1];
    if (found === undefined) throw fail(` as "${LAYOUT}": cannot parse ${quoteBytes(rest)} as "${element}"`);
    rest = rest.slice(found.length);
    if (field === undefined) continue;
    fields[field] = found;
    if (isOutOfRange(field, Number.parseInt(found, 10))) throw fail(`: ${field} out of range`);
  }
  if (rest !== '') throw fail(`: extra text: ${quoteBytes(rest)}`);
  const { year = '', month = '', day = '', hour = '', minute = '', second = '', zone = '' } = fields;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCDate() !== Number(day)) throw fail(': day out of range');
  date.setUTCHours(Number(hour), Number(minute), Number.parseInt(second, 10));
  const epochMs = date.getTime() - offsetMs(zone);
  return epochMs === ZERO_MS ? undefined : epochMs;
}

function isOutOfRange(field: Field, value: number): boolean {
  switch (field) {
    case 'month':
      return value < 1 || value > 12;
    case 'hour':
      return value > 23;
    case 'minute':
    case 'second':
      return value > 59;
    case 'year':
    case 'day': // judged at the end, when the month is known
    case 'zone':
    default:
      return false;
  }
}

function offsetMs(zone: string): number {
  const [, sign, hours, minutes] = /^([+-])(\d\d):(\d\d)$/.exec(zone) ?? [];
  const offset = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * MINUTE_MS;
  return sign === '-' ? -offset : offset;
}

/** Package time's own quoting, which escapes every byte that is not ASCII. */
function quoteBytes(text: string): string {
  const escaped = Array.from(Buffer.from(text), (byte) => {
    const character = String.fromCharCode(byte);
    if (character === '"' || character === '\\') return `\\${character}`;
    return byte < 0x20 || byte >= 0x80 ? `\\x${byte.toString(16).padStart(2, '0')}` : character;
  });
  return `"${escaped.join('')}"`;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: MINUTE_MS,
  h: 60 * MINUTE_MS,
};

/** Milliseconds of "8760h", "1h30m" or "0". @throws Error when it is no duration */
export function parseDuration(text: string): number {
  const [, sign, amounts = ''] = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/.exec(text) ?? [];
  if (amounts === '') throw new Error(`time: invalid duration "${text}"`);
  let sum = 0;
  for (const [, amount, unit = ''] of amounts.matchAll(/([\d.]+)(\D+)/g)) sum += Number(amount) * (UNIT_MS[unit] ?? 0);
  return sign === '-' ? -sum : sum;
}

/** Go's `t.Round(time.Minute)`: half a minute is rounded up. */
export function roundToMinute(epochMs: number): number {
  return Math.round(epochMs / MINUTE_MS) * MINUTE_MS;
}

export function toDate(epochMs: number): Date {
  return new Date(epochMs);
}

/** RFC 3339 in UTC with whole seconds. */
export function formatTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

/** The stamp of Go's package log, in UTC: "2009/11/10 23:00:00". */
export function formatLogTime(epochMs: number): string {
  return formatTime(epochMs).replaceAll('-', '/').replace('T', ' ').replace('Z', '');
}
