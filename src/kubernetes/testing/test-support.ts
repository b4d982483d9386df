/** Builders and doubles of this room's unit tests. Objects start bare: a case adds what it is about. */
import type { LogFields, Logger } from '../../platform/index.ts';
import type { KubernetesObject, Resource } from '../resource.ts';

export const WIDGETS: Resource = {
  group: 'test.io',
  version: 'v1',
  plural: 'widgets',
  kind: 'Widget',
  namespaced: true,
};

export interface Widget extends KubernetesObject {
  readonly colour?: string;
}

/** A widget in the namespace `ns`. */
export function widget(
  name: string,
  version: number | string = 1,
  rest: { uid?: string; colour?: string } = {},
): Widget {
  const { uid = `uid-${name}`, colour } = rest;
  const metadata = {
    name,
    namespace: 'ns',
    uid,
    resourceVersion: String(version),
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  return { metadata, ...(colour === undefined ? {} : { colour }) };
}

/** Remembers what was logged, as `level message`. */
export class LogDouble implements Logger {
  readonly lines: string[] = [];

  debug(_fields: LogFields, message: string): void {
    this.lines.push(`debug ${message}`);
  }

  info(_fields: LogFields, message: string): void {
    this.lines.push(`info ${message}`);
  }

  warn(_fields: LogFields, message: string): void {
    this.lines.push(`warn ${message}`);
  }

  error(_fields: LogFields, message: string): void {
    this.lines.push(`error ${message}`);
  }

  child(): Logger {
    return this;
  }
}

/** Never settles but by the signal: what a hung server looks like. */
export function hang(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason as Error);
    else signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
