/** Metrics that several clients, queues or controllers of one process share, told apart by their labels. */
import { Counter, Gauge, Histogram, type Registry } from '../platform/index.ts';

export function sharedCounter<L extends string>(registry: Registry, name: string, help: string, labels: readonly L[]) {
  const existing = registry.getSingleMetric(name) as Counter<L> | undefined;
  return existing ?? new Counter<L>({ name, help, labelNames: [...labels], registers: [registry] });
}

export function sharedGauge<L extends string>(registry: Registry, name: string, help: string, labels: readonly L[]) {
  const existing = registry.getSingleMetric(name) as Gauge<L> | undefined;
  return existing ?? new Gauge<L>({ name, help, labelNames: [...labels], registers: [registry] });
}

export function sharedHistogram<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  { labels, buckets }: { readonly labels: readonly L[]; readonly buckets: readonly number[] },
) {
  const existing = registry.getSingleMetric(name) as Histogram<L> | undefined;
  return (
    existing ?? new Histogram<L>({ name, help, labelNames: [...labels], buckets: [...buckets], registers: [registry] })
  );
}

/** A gauge that is measured when it is read, by each of those that share it in turn. */
export class MeasuredGauge<L extends string> extends Gauge<L> {
  readonly #measures: (() => void)[] = [];

  static shared<L extends string>(registry: Registry, name: string, help: string, labels: readonly L[]) {
    const existing = registry.getSingleMetric(name) as MeasuredGauge<L> | undefined;
    return existing ?? new MeasuredGauge<L>({ name, help, labelNames: [...labels], registers: [registry] });
  }

  measure(measure: () => void): void {
    this.#measures.push(measure);
  }

  /** Called by prom-client before it reads. */
  collect(): void {
    for (const measure of this.#measures) measure();
  }
}
