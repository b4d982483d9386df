/** For the tests of `RequestReconciler`: an approved CertificateRequest, its statuses, and a reconciler on doubles. */
import { APPROVED, certificateRequest, issuer, ready } from '../../../test/support/builders.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { EventRecorderDouble, LogRecorder } from '../../../test/support/recorders.ts';
import { authority, CfsslDouble, issue, NOW_MS, newCsr, readyIssuer } from '../../../test/support/signing.ts';
import { StatusClientDouble } from '../../../test/support/status-client.ts';
import type { CertificateRequest, CertificateRequestStatus, Condition, Issuer } from '../../api/index.ts';
import { Store } from '../../kubernetes/index.ts';
import { Registry } from '../../platform/index.ts';
import { certificateRequestKind } from '../certificate-request-kind.ts';
import { IssuerProblem } from '../issuer-problem.ts';
import type { ReadyIssuer } from '../issuer-session.ts';
import { IssuerMetrics } from '../metrics.ts';
import { RequestReconciler } from '../request-reconciler.ts';

/** The request's key in its store. */
export const KEY = 'team/request';
/** The time at which each test begins. */
export const NOW = '2026-11-24T12:00:00Z';
/** The CSR of the request. */
export const csr = newCsr();
/** The issuer's CA. */
export const ca = authority('CA');
/** The right certificate for `csr`. */
export const certificatePem = issue(csr, ca);
/** Text as the API server shows it where bytes are meant. */
export const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** An approved request for `csr`. */
export function approvedRequest(overrides: Parameters<typeof certificateRequest>[0] = {}): CertificateRequest {
  return certificateRequest({
    conditions: [APPROVED],
    ...overrides,
    spec: { request: csr.base64, username: 'alice', ...overrides.spec },
  });
}

/** The condition Ready, false unless told otherwise. */
export const readyCondition = (overrides: Partial<Condition>): Condition => ({
  type: 'Ready',
  status: 'False',
  lastTransitionTime: NOW,
  ...overrides,
});
/** The status of a request that has `certificatePem`. */
export const issued: CertificateRequestStatus = {
  conditions: [
    readyCondition({ status: 'True', reason: 'Issued', message: 'Succeeded signing the CertificateRequest' }),
  ],
  certificate: base64(certificatePem),
  ca: base64(ca.certificate.pem),
};
/** The status of a request that has failed for good. */
export const failedBecause = (message: string): CertificateRequestStatus => ({
  conditions: [
    readyCondition({ reason: 'Failed', message: `Failed permanently to sign CertificateRequest: ${message}` }),
  ],
  failureTime: NOW,
});
/** The status of a request that waits. */
export const pendingBecause = (message: string): CertificateRequestStatus => ({
  conditions: [readyCondition({ reason: 'Pending', message })],
});

/** What a test begins with. */
export interface Given {
  /** In the store at the beginning; an approved one by default, none for `null`. */
  readonly request?: CertificateRequest | null;
  readonly issuer?: Issuer | null;
  /** Whether the last check of the issuer by this process passed. */
  readonly isChecked?: boolean;
  readonly requireApproval?: boolean;
}

/** A reconciler and all that it touches. `trace` tells POSTs, probes and writes in their order. */
export function start({
  request = approvedRequest(),
  issuer: given,
  isChecked = true,
  requireApproval = true,
}: Given = {}) {
  const clock = new ManualClock(NOW_MS);
  const requests = new Store<CertificateRequest>();
  if (request !== null) requests.put(request);
  const issuers = new Store<Issuer>();
  if (given !== null) issuers.put(given ?? issuer({ conditions: [ready()] }));
  const api = new StatusClientDouble();
  const events = new EventRecorderDouble();
  const log = new LogRecorder();
  const registry = new Registry();
  const cfssl = new CfsslDouble();
  const mismatches: string[] = [];
  const trace: string[] = [];
  /** What `verify()` answers, in order; then the issuer is innocent. */
  const verdicts: (IssuerProblem | Error | undefined)[] = [];
  const state: { ready: ReadyIssuer | undefined; veto: Error | undefined; isCaughtUp: boolean } = {
    ready: isChecked ? readyIssuer(cfssl, ca) : undefined,
    veto: undefined,
    isCaughtUp: true,
  };
  const reconciler = new RequestReconciler(
    certificateRequestKind,
    {
      clock,
      random: () => 0,
      log,
      client: api.asKubernetesClient(),
      events: events.asEventRecorder(),
      metrics: new IssuerMetrics(registry),
      requests,
      isCaughtUp: () => state.isCaughtUp,
      stores: { issuers, clusterIssuers: new Store<Issuer>() },
      issuers: {
        readyFor: () => state.ready,
        verify: async (id) => {
          trace.push(`verify ${id}`);
          const verdict = verdicts.shift();
          if (verdict instanceof Error && !(verdict instanceof IssuerProblem)) throw verdict;
          return await Promise.resolve(verdict);
        },
        reportMismatch: (id, message) => mismatches.push(`${id}: ${message}`),
        warnOnce: ({ id }, warning) => trace.push(`warn ${id} ${warning}`),
      },
      assertMaySign: () => {
        if (state.veto !== undefined) throw state.veto;
        trace.push('post');
      },
    },
    { requireApproval, maxRetryDurationMs: 300_000 },
  );
  const abort = new AbortController();
  return {
    clock,
    requests,
    issuers,
    api,
    events,
    log,
    cfssl,
    mismatches,
    trace,
    verdicts,
    state,
    abort,
    reconciler,
    /** Time goes on while it waits. */
    reconcile: async () => {
      const settled = new AbortController();
      const done = reconciler.reconcile(KEY, abort.signal).finally(() => settled.abort());
      done.catch(() => {});
      await clock.advance(0);
      while (!settled.signal.aborted) await clock.advance(100);
      return await done;
    },
    /** The statuses that were sent. */
    statuses: () => api.applied.map(({ object }) => object.status as CertificateRequestStatus),
    /** Signings by how they ended, and POSTs whose outcome is not known. */
    counts: async () => {
      const counts: Record<string, number> = {};
      for (const { name, values } of await registry.getMetricsAsJSON()) {
        if (!/signings/.test(name)) continue;
        for (const { labels, value } of values) counts[String(labels['result'] ?? 'unknown')] = value;
      }
      return counts;
    },
  };
}
