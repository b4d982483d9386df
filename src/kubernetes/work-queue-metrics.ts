/** The metrics of a work queue, under client-go's names, and the two clocks per key that they need. */
import type { Clock, Registry } from '../platform/index.ts';
import { MeasuredGauge, sharedCounter, sharedGauge, sharedHistogram } from './metrics.ts';

/** 10 ns to 1000 s, as controller-runtime has them. */
const BUCKETS = Array.from({ length: 12 }, (_, exponent) => Number(`1e${exponent - 8}`));

export class WorkQueueMetrics {
  readonly #clock: Clock;
  readonly #depth;
  readonly #adds;
  readonly #retries;
  readonly #queueDuration;
  readonly #workDuration;
  readonly #addedAtMs = new Map<string, number>();
  readonly #takenAtMs = new Map<string, number>();

  constructor({ clock, registry }: { readonly clock: Clock; readonly registry: Registry }, name: string) {
    this.#clock = clock;
    const labels = ['name'] as const;
    const histogram = { labels, buckets: BUCKETS };
    this.#depth = sharedGauge(registry, 'workqueue_depth', 'Current depth of workqueue', labels).labels(name);
    const adds = 'Total number of adds handled by workqueue';
    this.#adds = sharedCounter(registry, 'workqueue_adds_total', adds, labels).labels(name);
    const retries = 'Total number of retries handled by workqueue';
    this.#retries = sharedCounter(registry, 'workqueue_retries_total', retries, labels).labels(name);
    const queued = 'How long in seconds an item stays in workqueue before being requested';
    const queueDuration = sharedHistogram(registry, 'workqueue_queue_duration_seconds', queued, histogram);
    this.#queueDuration = queueDuration.labels(name);
    const worked = 'How long in seconds processing an item from workqueue takes.';
    const workDuration = sharedHistogram(registry, 'workqueue_work_duration_seconds', worked, histogram);
    this.#workDuration = workDuration.labels(name);
    const unfinished = MeasuredGauge.shared(
      registry,
      'workqueue_unfinished_work_seconds',
      'How many seconds of work has been done that is in progress and has not been observed by work_duration.',
      labels,
    );
    const longest = MeasuredGauge.shared(
      registry,
      'workqueue_longest_running_processor_seconds',
      'How many seconds has the longest running processor for workqueue been running.',
      labels,
    );
    // All series from the start, so that a rate over them misses nothing.
    for (const counter of [this.#adds, this.#retries]) counter.inc(0);
    for (const durations of [queueDuration, workDuration]) durations.zero({ name });
    this.#depth.set(0);
    unfinished.measure(() =>
      unfinished.set(
        { name },
        this.#runningSeconds().reduce((sum, one) => sum + one, 0),
      ),
    );
    longest.measure(() => longest.set({ name }, Math.max(0, ...this.#runningSeconds())));
  }

  setDepth(depth: number): void {
    this.#depth.set(depth);
  }

  onAdd(key: string): void {
    this.#adds.inc();
    this.#addedAtMs.set(key, this.#clock.monotonicMs());
  }

  onRetry(): void {
    this.#retries.inc();
  }

  onTake(key: string): void {
    const nowMs = this.#clock.monotonicMs();
    this.#queueDuration.observe((nowMs - (this.#addedAtMs.get(key) ?? nowMs)) / 1000);
    this.#addedAtMs.delete(key);
    this.#takenAtMs.set(key, nowMs);
  }

  onDone(key: string): void {
    const nowMs = this.#clock.monotonicMs();
    this.#workDuration.observe((nowMs - (this.#takenAtMs.get(key) ?? nowMs)) / 1000);
    this.#takenAtMs.delete(key);
  }

  #runningSeconds(): number[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#takenAtMs.values()].map((takenAtMs) => (nowMs - takenAtMs) / 1000);
  }
}
