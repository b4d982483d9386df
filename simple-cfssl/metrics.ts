/** multirootca's three counters, in Prometheus' text format; a series is there from its first count on. */
export class Metrics {
  readonly #badInputs = new Map<string, number>();
  readonly #requests = new Map<string, number>();
  readonly #errors = new Map<string, number>();
  #certificates = 0;

  /** A request that was answered with an error. */
  countBadInput(): void {
    increment(this.#badInputs, 'operation="sign"');
  }

  /** A request for a label that there is. */
  countRequest(label: string): void {
    increment(this.#requests, `operation="sign",signer="${label}"`);
  }

  /** A request that failed at signing. */
  countError(label: string): void {
    increment(this.#errors, `operation="sign",signer="${label}"`);
  }

  countCertificate(): void {
    this.#certificates += 1;
  }

  /** Issued so far, whether or not the answer was one. */
  get certificates(): number {
    return this.#certificates;
  }

  format(): string {
    return [
      formatCounter('bad_inputs_total', 'How many times the input was malformed or not allowed.', this.#badInputs),
      formatCounter(
        'requests_errored_total',
        'How many requests for each operation type resulted in an error.',
        this.#errors,
      ),
      formatCounter(
        'requests_total',
        'How many requests for each operation type and signer were succesfully processed.',
        this.#requests,
      ),
    ].join('');
  }
}

function increment(series: Map<string, number>, labels: string): void {
  series.set(labels, (series.get(labels) ?? 0) + 1);
}

function formatCounter(name: string, help: string, series: ReadonlyMap<string, number>): string {
  if (series.size === 0) return '';
  const lines = Array.from(series, ([labels, count]) => `${name}{${labels}} ${count}\n`).toSorted();
  return `# HELP ${name} ${help}\n# TYPE ${name} counter\n${lines.join('')}`;
}
