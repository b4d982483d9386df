/** Doubles that remember what they were given: logs and events, for tests of what is told and how often. */
import type { EventRecord, EventRecorder } from '../../src/kubernetes/index.ts';
import type { LogFields, Logger } from '../../src/platform/index.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

export class LogRecorder implements Logger {
  readonly lines: LogLine[] = [];

  debug(fields: LogFields, message: string): void {
    this.lines.push({ level: 'debug', message, fields });
  }

  info(fields: LogFields, message: string): void {
    this.lines.push({ level: 'info', message, fields });
  }

  warn(fields: LogFields, message: string): void {
    this.lines.push({ level: 'warn', message, fields });
  }

  error(fields: LogFields, message: string): void {
    this.lines.push({ level: 'error', message, fields });
  }

  child(): Logger {
    return this;
  }

  /** The fields of every line with that message. */
  fieldsOf(message: string): LogFields[] {
    return this.lines.filter((line) => line.message === message).map(({ fields }) => fields);
  }
}

export class EventRecorderDouble {
  readonly records: EventRecord[] = [];

  record(record: EventRecord): void {
    this.records.push(record);
  }

  /** As `type reason: note`. */
  get lines(): string[] {
    return this.records.map(({ type, reason, note }) => `${type} ${reason}: ${note}`);
  }

  /** For those who take the whole class. */
  asEventRecorder(): EventRecorder {
    return this as unknown as EventRecorder;
  }
}
