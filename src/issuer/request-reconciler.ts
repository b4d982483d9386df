/**
 * Brings one request, of whatever kind, to its end: reads the store, lets the kind's policy say what to do, does it, and
 * writes the status once. What is signed is kept until the store shows it, so that a failed write never costs another
 * signature.
 */
import { CfsslError } from '../cfssl/index.ts';
import {
  type EventRecorder,
  isInvalid,
  isRetryable,
  type KubernetesClient,
  keyOf,
  type ReconcileResult,
  readAgain,
  StatusWriter,
  type StoreReader,
} from '../kubernetes/index.ts';
import { backoffMs, type Clock, errorFields, formatTime, type Logger } from '../platform/index.ts';
import { AttemptLog } from './attempts.ts';
import type { Decision, DecisionPolicy } from './decide.ts';
import { faultOf } from './fault.ts';
import { FIELD_MANAGER } from './field-manager.ts';
import { type FinalOutcome, FinalOutcomes } from './final-outcomes.ts';
import type { IssuerReconciler } from './issuer-reconciler.ts';
import type { IssuerTarget } from './issuer-reference.ts';
import type { ReadyIssuer } from './issuer-session.ts';
import { findIssuer, type IssuerStores } from './issuers.ts';
import type { IssuerMetrics } from './metrics.ts';
import type { AnyRequest, RequestKind } from './request-kind.ts';
import type { RequestOutcome } from './request-status.ts';
import { type AuditRecord, type SigningOutcome, sign } from './sign.ts';

export interface RequestReconcilerDeps<R extends AnyRequest> {
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly client: Pick<KubernetesClient, 'applyStatus' | 'create' | 'get'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly metrics: IssuerMetrics;
  readonly requests: StoreReader<R>;
  /** Whether the store holds all that had happened when this process began to sign. */
  readonly isCaughtUp: () => boolean;
  readonly stores: IssuerStores;
  readonly issuers: Pick<IssuerReconciler, 'readyFor' | 'verify' | 'reportMismatch' | 'warnOnce'>;
  /** Throws when this process may not sign (any more); called right before each POST. */
  readonly assertMaySign: () => void;
}

/** A "bad request" without a reason is believed the second time, with the issuer proved innocent in between. */
const UNCLEAR_ATTEMPTS = 2;
/** Pauses between the tries to write a final status. */
const WRITE_BACKOFF = { baseMs: 100, maxMs: 500, jitter: 0.2 };
/** Above so many final statuses that cannot be written, nothing more is signed. */
const MAX_TROUBLED_WRITES = 16;
/** Type and reason of the event about a request that ended without a certificate. */
const PERMANENT_ERROR = ['Warning', 'PermanentError'] as const;

export class RequestReconciler<R extends AnyRequest> {
  readonly #kind: RequestKind<R>;
  readonly #deps: RequestReconcilerDeps<R>;
  readonly #policy: DecisionPolicy;
  readonly #attempts = new AttemptLog();
  readonly #finalOutcomes = new FinalOutcomes();
  readonly #statuses: StatusWriter<R>;
  /** Final statuses that the API server did not take so far. */
  #troubledWrites = 0;
  /** By UID, what was last told about a request without a status to show for it. */
  readonly #told = new Map<string, string>();

  constructor(kind: RequestKind<R>, deps: RequestReconcilerDeps<R>, policy: DecisionPolicy) {
    this.#kind = kind;
    this.#deps = deps;
    this.#policy = policy;
    this.#statuses = new StatusWriter(deps, { resource: kind.resource, fieldManager: FIELD_MANAGER });
  }

  /** Called when the store shows a request finished or gone: nothing about it need be remembered any more. */
  forget(uid: string): void {
    this.#attempts.forget(uid);
    this.#finalOutcomes.drop(uid);
    this.#told.delete(uid);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const request = this.#deps.requests.get(key);
    if (request === undefined) return; // gone
    const { uid } = request.metadata;
    const kept = this.#finalOutcomes.get(uid);
    if (kept !== undefined) return await this.#finish(request, kept, signal);
    const target = this.#kind.targetOf(request);
    if (target === undefined) return; // not ours
    const issuer = findIssuer(this.#deps.stores, target);
    const attempts = this.#attempts.get(uid);
    const nowMs = this.#deps.clock.monotonicMs();
    const decision = this.#kind.decide({ request, issuer, attempts, nowMs }, this.#policy);
    if (decision.action === 'wait' || decision.action === 'sign') {
      // Nobody is told of the state of an issuer that they may not use.
      const objection = await this.#kind.findObjection?.(request, target, { client: this.#deps.client, signal });
      if (objection !== undefined) return await this.#finish(request, { state: 'Failed', message: objection }, signal);
    }
    switch (decision.action) {
      case 'ignore':
        if (decision.announce !== undefined) {
          const note = `Not signing ${this.#kind.resource.kind} until it is Approved`;
          if (this.#isNews(request, note)) this.#announce(request, 'Normal', decision.announce, note);
        }
        return; // done, or woken by the approver
      case 'deny':
        return await this.#finish(request, { state: 'Denied' }, signal);
      case 'fail':
        return await this.#finish(request, { state: 'Failed', message: decision.message }, signal);
      case 'wait':
        return await this.#wait(request, decision, signal);
      case 'sign': {
        // Not checked by this process yet, or no more: the end of the check wakes us.
        const ready = issuer === undefined ? undefined : this.#deps.issuers.readyFor(target.id, issuer);
        if (ready === undefined) return;
        const issued = this.#kind.findIssued?.(request, ready, this.#deps.clock.now());
        if (issued !== undefined) return await this.#finish(request, issued, signal);
        // What is signed now could not be handed out, and would be lost with the process.
        if (this.#troubledWrites >= MAX_TROUBLED_WRITES) return { requeueAfterMs: WRITE_BACKOFF.maxMs };
        if (!this.#deps.isCaughtUp() && (await this.#hasEnded(request, signal))) return; // the watch will show it
        return await this.#sign(request, target, ready, signal);
      }
    }
  }

  /** Asks the API server itself whether a request is finished or gone, as whoever led before us may have seen to. */
  async #hasEnded(request: R, signal: AbortSignal): Promise<boolean> {
    const found = await readAgain(this.#deps.client, this.#kind.resource, { object: request, signal });
    return found === undefined || this.#kind.isFinished(found);
  }

  async #sign(request: R, target: IssuerTarget, issuer: ReadyIssuer, signal: AbortSignal): Promise<ReconcileResult> {
    const { clock, metrics, issuers } = this.#deps;
    const startMs = clock.monotonicMs();
    let outcome: SigningOutcome;
    try {
      const beforePost = this.#deps.assertMaySign;
      outcome = await sign(this.#kind.signingInputOf(request), issuer, { signal, beforePost, now: () => clock.now() });
    } catch (error) {
      if (!(error instanceof CfsslError)) throw error; // requeue with back-off
      return await this.#onCfsslError(request, target, error, signal);
    }
    const durationMs = clock.monotonicMs() - startMs;
    if (outcome.record !== undefined) this.#audit(request, issuer, outcome.record, durationMs);
    switch (outcome.kind) {
      case 'refused':
        metrics.observeSigning(target, 'request_refused', durationMs);
        return await this.#finish(request, { state: 'Failed', message: outcome.message }, signal);
      case 'mismatch':
        metrics.observeSigning(target, 'mismatch', durationMs);
        issuers.reportMismatch(target.id, outcome.message);
        return; // woken when the issuer's condition changes
      case 'signed': {
        metrics.observeSigning(target, 'issued', durationMs);
        const { certificatePem, caPem, warnings, lacksBundle } = outcome;
        if (lacksBundle) issuers.warnOnce(target, 'BundleUnavailable');
        for (const warning of warnings) this.#announce(request, 'Warning', 'UnexpectedCertificate', warning);
        return await this.#finish(request, { state: 'Issued', certificatePem, caPem }, signal);
      }
    }
  }

  /** CFSSL did not sign. Unless the request is plainly at fault, the issuer is asked whether it is. */
  async #onCfsslError(
    request: R,
    target: IssuerTarget,
    error: CfsslError,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    const { clock, issuers, log, metrics } = this.#deps;
    const { uid } = request.metadata;
    if (error.details.maybeProcessed) metrics.countUnknownOutcome();
    signal.throwIfAborted();
    const fault = faultOf(error.code);
    const fields = { ...objectFields(request), issuer: target.id, fault, ...errorFields(error) };
    if (fault === 'request') {
      metrics.observeSigning(target, 'request_refused', 0);
      log.info(fields, 'CFSSL refuses the request');
      return await this.#finish(request, { state: 'Failed', message: error.message }, signal);
    }
    const { unclearCount } = this.#attempts.recordFailure(uid, error.message, {
      nowMs: clock.monotonicMs(),
      isUnclear: fault === 'unclear',
    });
    const problem = await issuers.verify(target.id);
    if (problem !== undefined) {
      metrics.observeSigning(target, 'issuer_failed', 0);
      log.warn(fields, 'Signing failed and the issuer is at fault');
      this.#attempts.forget(uid);
      return; // woken when the issuer's condition changes
    }
    if (fault === 'unclear' && unclearCount >= UNCLEAR_ATTEMPTS) {
      metrics.observeSigning(target, 'request_refused', 0);
      log.info(fields, 'CFSSL refuses the request');
      return await this.#finish(request, { state: 'Failed', message: error.message }, signal);
    }
    metrics.observeSigning(target, 'temporary_failure', 0);
    if (fault === 'unclear') return await this.reconcile(keyOf(request), signal); // once more, now that the issuer is proved
    const message = `Failed to sign ${this.#kind.resource.kind}, will retry: ${error.message}`;
    await this.#showPending(request, message, signal);
    this.#announce(request, 'Warning', 'RetryableError', message);
    throw error; // requeue with back-off
  }

  async #wait(
    request: R,
    { event, message }: Extract<Decision, { readonly action: 'wait' }>,
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    const isNew = await this.#showPending(request, message, signal);
    if (isNew) this.#announce(request, 'Normal', event, message);
    return; // woken by the issuer
  }

  /** Writes why the request waits, if its kind has a place for that. Tells whether that is new. */
  async #showPending(request: R, message: string, signal: AbortSignal): Promise<boolean> {
    if (!this.#kind.hasPendingStatus) return this.#isNews(request, message);
    return await this.#apply(request, { state: 'Pending', message }, signal);
  }

  /** Writes a final status. It is kept until the store shows it. */
  async #finish(request: R, outcome: FinalOutcome, signal: AbortSignal): Promise<ReconcileResult> {
    this.#finalOutcomes.keep(request.metadata.uid, outcome);
    let isNew: boolean;
    try {
      isNew = await this.#applyPatiently(request, outcome, signal);
    } catch (error) {
      if (outcome.state !== 'Issued' || !isInvalid(error)) throw error; // requeue with back-off
      const message = `The API server refuses the certificate: ${error.message}`;
      return await this.#finish(request, { state: 'Failed', message }, signal); // trying again would not change that
    }
    if (isNew) {
      const [type, reason] = outcome.state === 'Issued' ? (['Normal', 'Issued'] as const) : PERMANENT_ERROR;
      this.#announce(request, type, reason, this.#kind.messageOf(outcome));
    }
    return; // done
  }

  /**
   * Applies a final status, again and again while the API server has trouble, so that a stop has what was signed written
   * before the process ends.
   */
  async #applyPatiently(request: R, outcome: FinalOutcome, signal: AbortSignal): Promise<boolean> {
    try {
      return await this.#apply(request, outcome, signal);
    } catch (error) {
      if (!isRetryable(error)) throw error; // requeue with back-off
      this.#deps.log.warn({ ...objectFields(request), ...errorFields(error) }, 'Cannot write status, trying again');
    }
    this.#troubledWrites += 1;
    try {
      return await this.#applyAgain(request, outcome, signal);
    } finally {
      this.#troubledWrites -= 1;
    }
  }

  async #applyAgain(request: R, outcome: FinalOutcome, signal: AbortSignal): Promise<boolean> {
    const { clock, random } = this.#deps;
    for (let failures = 1; ; failures += 1) {
      await clock.sleep(backoffMs(failures, WRITE_BACKOFF, random), { signal });
      try {
        return await this.#apply(request, outcome, signal);
      } catch (error) {
        if (!isRetryable(error)) throw error; // requeue with back-off
      }
    }
  }

  /**
   * Applies a status to exactly the object that it was made for: to a later state of it if need be, never to another
   * object that took its name. Tells whether there was anything to write.
   */
  async #apply(request: R, outcome: RequestOutcome, signal: AbortSignal): Promise<boolean> {
    const { clock, requests } = this.#deps;
    const build = (current: R): object | undefined => {
      if (current !== request && this.#kind.isFinished(current)) return undefined; // by another replica: final is final
      return this.#kind.buildStatus(current, outcome, clock.now());
    };
    const result = await this.#statuses.write(request, build, { signal });
    // While the store still shows it, what is known of it keeps it from being signed again; then `forget()` is called.
    const { uid } = request.metadata;
    if (result === 'gone' && requests.get(keyOf(request))?.metadata.uid !== uid) this.forget(uid);
    return result === 'written';
  }

  #isNews({ metadata: { uid } }: R, note: string): boolean {
    if (this.#told.get(uid) === note) return false;
    this.#told.set(uid, note);
    return true;
  }

  #announce(request: R, type: 'Normal' | 'Warning', reason: string, note: string): void {
    const { name, namespace, uid } = request.metadata;
    const action = type === 'Normal' ? 'Synced' : 'SyncFailed';
    const regarding = { resource: this.#kind.resource, namespace, name, uid };
    this.#deps.events.record({ regarding, type, reason, action, note });
  }

  /** One line for each certificate that CFSSL issued, whatever becomes of it. */
  #audit(request: R, { id, configuration }: ReadyIssuer, record: AuditRecord, durationMs: number): void {
    const { notAfterMs, ...rest } = record;
    this.#deps.log.info(
      {
        ...objectFields(request),
        requester: request.spec.username,
        issuer: id,
        label: configuration.label,
        profile: configuration.profile,
        ...rest,
        notAfter: formatTime(notAfterMs),
        durationMs: Math.round(durationMs),
      },
      'Certificate issued',
    );
  }
}

function objectFields({ metadata: { namespace, name, uid } }: AnyRequest) {
  return { namespace, name, uid };
}
