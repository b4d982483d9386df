/** Validity times (RFC 5280, 4.1.2.5) as milliseconds since the epoch. */
import { toLatin1 } from './bytes.ts';
import { type DerReader, TAG } from './der.ts';

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365] as const;
const DAY_MS = 86_400_000;

/** A UTCTime or GeneralizedTime of whole seconds in UTC, the only form that RFC 5280 allows. */
export function readTime(reader: DerReader, what: string): number {
  const isUtcTime = reader.nextTag === TAG.utcTime;
  const content = reader.read(isUtcTime ? TAG.utcTime : TAG.generalizedTime, what);
  const text = toLatin1(content);
  const parts = (isUtcTime ? UTC_TIME : GENERALIZED_TIME).exec(text);
  const epochMs = parts === null ? undefined : toEpochMs(parts.slice(1).map(Number), isUtcTime);
  if (epochMs === undefined) throw reader.error('X509_CONTENT', `${what} is no time of RFC 5280`);
  return epochMs;
}

function toEpochMs(parts: readonly number[], isUtcTime: boolean): number | undefined {
  const [shortYear = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const century = shortYear < 50 ? 2000 : 1900;
  const year = isUtcTime ? century + shortYear : shortYear;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const before = DAYS_BEFORE_MONTH[month - 1];
  const next = DAYS_BEFORE_MONTH[month];
  if (before === undefined || next === undefined) return undefined;
  const daysInMonth = next - before + (isLeap && month === 2 ? 1 : 0);
  if (day < 1 || day > daysInMonth || hour > 23 || minute > 59 || second > 59) return undefined;
  const days = daysBeforeYear(year) - daysBeforeYear(1970) + before + (isLeap && month > 2 ? 1 : 0) + day - 1;
  return days * DAY_MS + (hour * 3600 + minute * 60 + second) * 1000;
}

/** Days from the (proleptic) year 0 to the first of January. */
function daysBeforeYear(year: number): number {
  const past = year - 1;
  return year * 365 + Math.floor(past / 4) - Math.floor(past / 100) + Math.floor(past / 400);
}
