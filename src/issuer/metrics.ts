/** What operators graph and alert on about issuing; the runtime's own metrics are in `kubernetes/`. */

import type { IssuerStatus } from '../api/index.ts';
import { Counter, Gauge, Histogram, parseTime, type Registry } from '../platform/index.ts';
import type { IssuerProblem } from './issuer-problem.ts';
import type { IssuerTarget } from './issuer-reference.ts';

/** How a signing attempt ended. */
export type SignResultLabel = 'issued' | 'request_refused' | 'issuer_failed' | 'temporary_failure' | 'mismatch';

export class IssuerMetrics {
  readonly #ready: Gauge<'kind' | 'namespace' | 'name'>;
  readonly #caExpiry: Gauge<'kind' | 'namespace' | 'name'>;
  readonly #signed: Counter<'kind' | 'namespace' | 'name' | 'result'>;
  readonly #duration: Histogram;
  readonly #unknownOutcomes: Counter;

  constructor(registry: Registry) {
    const labelNames = ['kind', 'namespace', 'name'] as const;
    const registers = [registry];
    this.#ready = new Gauge({
      name: 'cfssl_issuer_ready',
      help: 'Whether the issuer can sign (1) or not (0).',
      labelNames,
      registers,
    });
    this.#caExpiry = new Gauge({
      name: 'cfssl_issuer_ca_not_after_seconds',
      help: 'When the certificate of the signing CA expires, seconds since the epoch.',
      labelNames,
      registers,
    });
    this.#signed = new Counter({
      name: 'cfssl_issuer_signings_total',
      help: 'Signing attempts by how they ended.',
      labelNames: [...labelNames, 'result'] as const,
      registers,
    });
    this.#duration = new Histogram({
      name: 'cfssl_issuer_signing_seconds',
      help: 'From the first byte sent to CFSSL until its certificate was checked.',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    this.#unknownOutcomes = new Counter({
      name: 'cfssl_issuer_signings_unknown_outcome_total',
      help: 'Signing calls that failed after CFSSL may have issued a certificate.',
      registers,
    });
  }

  observeIssuer(target: IssuerTarget, problem: IssuerProblem | undefined, { ca }: Pick<IssuerStatus, 'ca'>): void {
    const labels = labelsOf(target);
    this.#ready.set(labels, problem === undefined ? 1 : 0);
    if (ca === undefined) this.#caExpiry.remove(labels);
    else this.#caExpiry.set(labels, (parseTime(ca.notAfter) ?? 0) / 1000);
  }

  forgetIssuer(target: IssuerTarget): void {
    const labels = labelsOf(target);
    this.#ready.remove(labels);
    this.#caExpiry.remove(labels);
  }

  observeSigning(target: IssuerTarget, result: SignResultLabel, durationMs: number): void {
    this.#signed.inc({ ...labelsOf(target), result });
    if (result === 'issued') this.#duration.observe(durationMs / 1000);
  }

  countUnknownOutcome(): void {
    this.#unknownOutcomes.inc();
  }
}

function labelsOf({ kind, namespace = '', name }: IssuerTarget): { kind: string; namespace: string; name: string } {
  return { kind, namespace, name };
}
