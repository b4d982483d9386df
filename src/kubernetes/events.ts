/**
 * Events for `kubectl describe` (events.k8s.io/v1, client-go `tools/events`). Recording one never waits and never fails:
 * events stand in a bounded queue until there is nothing better to do, those that repeat become a series of one, and what
 * does not fit or cannot be sent is dropped and counted.
 */
import {
  type Clock,
  type Counter,
  errorFields,
  formatMicroTime,
  type Logger,
  type Registry,
} from '../platform/index.ts';
import type { KubernetesClient } from './client.ts';
import { isNotFound, isRetryable } from './errors.ts';
import { sharedCounter } from './metrics.ts';
import { apiVersionOf, type Resource } from './resource.ts';
import { onAbort } from './wait.ts';

export const EVENTS: Resource = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
  namespaced: true,
};

export interface EventRecord {
  /** What the event is about. */
  readonly regarding: {
    readonly resource: Resource;
    readonly namespace?: string | undefined;
    readonly name: string;
    readonly uid: string;
  };
  readonly type: 'Normal' | 'Warning';
  /** Why, as one UpperCamelCase word. */
  readonly reason: string;
  /** What was done or tried, as one UpperCamelCase word. */
  readonly action: string;
  /** For people. What exceeds 1 KB is cut off. */
  readonly note: string;
}

export interface EventRecorderDeps {
  readonly client: Pick<KubernetesClient, 'create' | 'mergePatch'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly registry: Registry;
  /** There is nothing better to do just now. */
  readonly isIdle: () => boolean;
}

export interface EventRecorderOptions {
  /** Who reports, such as `cert-manager.io/controller`. */
  readonly reportingController: string;
  /** Which of its processes, such as the pod's name. */
  readonly reportingInstance: string;
  /** Most events that may wait. Default: 1000. */
  readonly maxQueued?: number;
  /** Events that have waited this long are sent although we are busy, one a second. Default: 10 s. */
  readonly maxWaitMs?: number;
}

/** An event that waits to be sent, or has been and may repeat. */
interface Series {
  readonly record: EventRecord;
  readonly firstAtMs: number;
  lastAtMs: number;
  /** How often it happened, of which so many have been told the server. */
  count: number;
  sentCount: number;
  queuedAtMs: number;
  /** Where it was written; undefined until then. */
  name: string | undefined;
}

const POLL_MS = 100;
const BUSY_PAUSE_MS = 1000;
/** An event that happens again within this time belongs to the same series. */
const SERIES_MS = 6 * 60_000;
/** A series is not written more often than this. */
const SERIES_PAUSE_MS = 60_000;
const MAX_TRIES = 12;
const RETRY_MS = 1000;
const FLUSH_MS = 2000;
const MAX_NOTE_BYTES = 1024;
const MAX_FIELD_LENGTH = 128;

export class EventRecorder {
  readonly #deps: EventRecorderDeps;
  readonly #options: Required<EventRecorderOptions>;
  readonly #outcomes: Counter<'outcome'>;
  /** Everything that may still repeat, oldest first; at most twice `maxQueued`. */
  readonly #series = new Map<string, Series>();
  /** Those of them with something to tell, in the order they are to be sent. */
  readonly #queue = new Set<Series>();
  #wake: (() => void) | undefined;

  constructor(deps: EventRecorderDeps, options: EventRecorderOptions) {
    this.#deps = deps;
    this.#options = { maxQueued: 1000, maxWaitMs: 10_000, ...options };
    const help = 'Number of Kubernetes events by what became of them: sent, merged into a series, dropped, failed.';
    this.#outcomes = sharedCounter(deps.registry, 'kubernetes_events_total', help, ['outcome'] as const);
    for (const outcome of ['sent', 'merged', 'dropped', 'failed']) this.#outcomes.inc({ outcome }, 0);
  }

  /** Queues the event. */
  record(record: EventRecord): void {
    const nowMs = this.#deps.clock.now();
    const id = identify(record);
    const known = this.#series.get(id);
    if (known !== undefined && nowMs - known.lastAtMs < SERIES_MS) {
      known.count++;
      known.lastAtMs = nowMs;
      this.#outcomes.inc({ outcome: 'merged' });
      this.#enqueue(known);
      return;
    }
    if (this.#queue.size >= this.#options.maxQueued) {
      this.#outcomes.inc({ outcome: 'dropped' });
      return;
    }
    const series: Series = {
      record,
      firstAtMs: nowMs,
      lastAtMs: nowMs,
      count: 1,
      sentCount: 0,
      queuedAtMs: 0,
      name: undefined,
    };
    this.#series.delete(id);
    this.#series.set(id, series);
    this.#forgetOld();
    this.#enqueue(series);
  }

  /** Sends what is recorded until the signal aborts, and then, for a short time, what is left. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    while (!signal.aborted) {
      const next = this.#nextDue();
      try {
        if (next === undefined) await this.#untilDue(signal);
        else await this.#send(next, signal);
        if (next !== undefined && !this.#deps.isIdle()) await clock.sleep(BUSY_PAUSE_MS, { signal });
      } catch (error) {
        if (!signal.aborted) this.#deps.log.error(errorFields(error), 'Event recorder failed');
      }
    }
    await this.#flush();
  }

  #enqueue(series: Series): void {
    if (this.#queue.has(series)) return;
    series.queuedAtMs = this.#deps.clock.monotonicMs();
    this.#queue.add(series);
    this.#wake?.();
  }

  /** The first event that may be sent now. */
  #nextDue(): Series | undefined {
    const { clock, isIdle } = this.#deps;
    const nowMs = clock.monotonicMs();
    const isBusy = !isIdle();
    for (const series of this.#queue) {
      const waitedMs = nowMs - series.queuedAtMs;
      if (isBusy && waitedMs < this.#options.maxWaitMs) return undefined; // Those behind it have waited less.
      if (series.name === undefined || waitedMs >= SERIES_PAUSE_MS) return series;
    }
    return undefined;
  }

  async #untilDue(signal: AbortSignal): Promise<void> {
    if (this.#queue.size > 0) {
      await this.#deps.clock.sleep(POLL_MS, { signal });
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const unlink = onAbort(signal, () => resolve());
    await promise;
    unlink();
    this.#wake = undefined;
  }

  /** Sends one event, with a few more tries if it is worth it. */
  async #send(series: Series, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#deps;
    const { count } = series;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#write(series, signal);
        series.sentCount = count;
        this.#queue.delete(series);
        this.#outcomes.inc({ outcome: 'sent' });
        if (series.count > count) this.#enqueue(series);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!isRetryable(error) || attempt === MAX_TRIES) {
          this.#queue.delete(series);
          this.#outcomes.inc({ outcome: 'failed' });
          log.warn({ ...errorFields(error), reason: series.record.reason }, 'Cannot send event, dropping it');
          return;
        }
        await clock.sleep(attempt * RETRY_MS, { signal });
      }
    }
  }

  async #write(series: Series, signal: AbortSignal): Promise<void> {
    const { client } = this.#deps;
    const namespace = series.record.regarding.namespace ?? 'default';
    if (series.name !== undefined) {
      try {
        await client.mergePatch(EVENTS, { namespace, name: series.name, signal }, { series: toSeries(series) });
        return;
      } catch (error) {
        if (!isNotFound(error)) throw error; // Else it has expired, after an hour by default: write it anew.
      }
    }
    const name = `${toNamePrefix(series.record.regarding.name)}.${this.#suffix()}`;
    await client.create(EVENTS, this.#toEvent(series, { name, namespace }), { signal });
    series.name = name;
  }

  #toEvent(series: Series, metadata: { name: string; namespace: string }): object {
    const { reportingController, reportingInstance } = this.#options;
    const { regarding, type, reason, action, note } = series.record;
    const { resource, namespace, name, uid } = regarding;
    return {
      metadata,
      eventTime: formatMicroTime(series.firstAtMs),
      reportingController,
      reportingInstance: reportingInstance.slice(0, MAX_FIELD_LENGTH),
      type,
      reason: reason.slice(0, MAX_FIELD_LENGTH),
      action: action.slice(0, MAX_FIELD_LENGTH),
      note: cutBytes(note, MAX_NOTE_BYTES),
      regarding: { apiVersion: apiVersionOf(resource), kind: resource.kind, namespace, name, uid },
      ...(series.count > 1 ? { series: toSeries(series) } : {}),
    };
  }

  /** A last chance for what waits, without retries. */
  async #flush(): Promise<void> {
    const { clock, log } = this.#deps;
    const deadline = new AbortController();
    const cancel = clock.schedule(FLUSH_MS, () => deadline.abort(new Error('No time left for events')));
    try {
      for (const series of this.#queue) {
        if (deadline.signal.aborted) break;
        await this.#write(series, deadline.signal);
        this.#queue.delete(series);
        this.#outcomes.inc({ outcome: 'sent' });
      }
    } catch (error) {
      log.debug(errorFields(error), 'Cannot send events before stopping');
    } finally {
      cancel();
    }
    this.#outcomes.inc({ outcome: 'dropped' }, this.#queue.size);
    this.#queue.clear();
  }

  #forgetOld(): void {
    const nowMs = this.#deps.clock.now();
    for (const [id, series] of this.#series) {
      const isOver = nowMs - series.lastAtMs >= SERIES_MS;
      if (!isOver && this.#series.size <= 2 * this.#options.maxQueued) return;
      if (!this.#queue.has(series)) this.#series.delete(id);
    }
  }

  #suffix(): string {
    return Math.floor(this.#deps.random() * 2 ** 48)
      .toString(16)
      .padStart(12, '0');
  }
}

function identify({ regarding, type, reason, action, note }: EventRecord): string {
  return JSON.stringify([regarding.uid, type, reason, action, note]);
}

function toSeries({ count, lastAtMs }: Series): object {
  return { count, lastObservedTime: formatMicroTime(lastAtMs) };
}

/** As much of the name as leaves room for the suffix, ending as a DNS label must. */
function toNamePrefix(name: string): string {
  return name.slice(0, 240).replace(/[^a-z0-9]+$/, '');
}

/** The longest beginning of the text that fits, whole characters only. */
function cutBytes(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length <= maxBytes) return text;
  return bytes
    .subarray(0, maxBytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '');
}
