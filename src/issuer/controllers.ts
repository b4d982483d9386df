/**
 * Wires the subject to the runtime: what is watched, what a change puts on which queue, and how all of it starts and
 * stops. The way of a request: watch event → store → queue → `RequestReconciler` → one status write.
 */
import {
  CERTIFICATE_REQUESTS,
  type CertificateRequest,
  CLUSTER_ISSUERS,
  ISSUER_GROUP,
  ISSUERS,
  type Issuer,
  READY,
} from '../api/index.ts';
import {
  type Change,
  Controller,
  EventRecorder,
  type KubernetesClient,
  keyOf,
  NamedObjectWatches,
  Reflector,
  WorkQueue,
} from '../kubernetes/index.ts';
import type { Clock, Logger, Registry } from '../platform/index.ts';
import { findCondition } from './conditions.ts';
import { FIELD_MANAGER } from './field-manager.ts';
import { IssuerReconciler } from './issuer-reconciler.ts';
import { type IssuerId, targetOf, targetOfIssuer } from './issuer-reference.ts';
import { IssuerMetrics } from './metrics.ts';
import { isFinished, pruneRequest } from './request-cache.ts';
import { RequestReconciler } from './request-reconciler.ts';

export interface ControllersDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly registry: Registry;
  readonly client: KubernetesClient;
  /** Throws when this process may not sign (any more). */
  readonly assertMaySign: () => void;
}

export interface ControllersOptions {
  /** Where the Secrets of ClusterIssuers lie. */
  readonly clusterResourceNamespace: string;
  /** Whether a request waits for an approver. */
  readonly requireApproval: boolean;
  /** How many requests are worked on at a time. */
  readonly maxConcurrentRequests: number;
  /** How long a temporary failure is retried before the request fails. */
  readonly maxRetryDurationMs: number;
  /** Names this process in events. */
  readonly instance: string;
}

/** How many issuers are checked at a time: one that hangs holds up none of the others for long. */
const ISSUER_WORKERS = 16;
/** How many requests of one issuer are worked on at a time: a slow CFSSL takes at most half of the default workers. */
const MAX_REQUESTS_PER_ISSUER = 8;
const ISSUER_TIMEOUT_MS = 120_000;
/** Above two calls to CFSSL and two to the API server with their own deadlines. */
const REQUEST_TIMEOUT_MS = 300_000;
const REQUEST_BACKOFF = { baseDelayMs: 1_000, maxDelayMs: 300_000 };
const BY_ISSUER = 'issuer';

export class Controllers {
  readonly #requests: Reflector<CertificateRequest>;
  readonly #issuers: Reflector<Issuer>;
  readonly #clusterIssuers: Reflector<Issuer>;
  readonly #watches: NamedObjectWatches;
  readonly #events: EventRecorder;
  readonly #requestQueue: WorkQueue;
  readonly #issuerQueue: WorkQueue;
  readonly #requestReconciler: RequestReconciler;
  readonly #issuerReconciler: IssuerReconciler;
  readonly #requestController: Controller;
  readonly #issuerController: Controller;

  constructor(deps: ControllersDeps, options: ControllersOptions) {
    this.#requests = new Reflector<CertificateRequest>(deps, {
      resource: CERTIFICATE_REQUESTS,
      fieldSelector: `spec.issuerRef.group=${ISSUER_GROUP}`,
      accept: (request) => request.spec.issuerRef.group === ISSUER_GROUP,
      prune: pruneRequest,
      // Finished requests need no waking, so the index holds the open ones only.
      indexes: { [BY_ISSUER]: (request) => (isFinished(request) ? [] : [issuerIdOf(request)]) },
    });
    this.#issuers = new Reflector<Issuer>(deps, { resource: ISSUERS });
    this.#clusterIssuers = new Reflector<Issuer>(deps, { resource: CLUSTER_ISSUERS });
    this.#watches = new NamedObjectWatches(deps);

    const { store } = this.#requests;
    this.#requestQueue = new WorkQueue(deps, {
      name: 'certificaterequest',
      ...REQUEST_BACKOFF,
      groupOf: (key) => issuerIdOf(store.get(key)),
      maxPerGroup: MAX_REQUESTS_PER_ISSUER,
    });
    this.#issuerQueue = new WorkQueue(deps, { name: 'issuer' });
    const isIdle = (): boolean => this.#requestQueue.depth + this.#requestQueue.inProgress === 0;
    this.#events = new EventRecorder(
      { ...deps, isIdle },
      { reportingController: FIELD_MANAGER, reportingInstance: options.instance },
    );

    const shared = {
      ...deps,
      events: this.#events,
      metrics: new IssuerMetrics(deps.registry),
      stores: { issuers: this.#issuers.store, clusterIssuers: this.#clusterIssuers.store },
    };
    this.#issuerReconciler = new IssuerReconciler(
      {
        ...shared,
        watches: this.#watches,
        enqueue: (id) => this.#issuerQueue.add(id),
        onReady: (id) => this.#wakeRequestsOf(id),
      },
      options,
    );
    this.#requestReconciler = new RequestReconciler(
      { ...shared, requests: store, issuers: this.#issuerReconciler },
      options,
    );
    this.#issuerController = new Controller(deps, {
      name: 'issuer',
      queue: this.#issuerQueue,
      workers: ISSUER_WORKERS,
      timeoutMs: ISSUER_TIMEOUT_MS,
      reconcile: (key, signal) => this.#issuerReconciler.reconcile(key, signal),
    });
    this.#requestController = new Controller(deps, {
      name: 'certificaterequest',
      queue: this.#requestQueue,
      workers: options.maxConcurrentRequests,
      timeoutMs: REQUEST_TIMEOUT_MS,
      reconcile: (key, signal) => this.#requestReconciler.reconcile(key, signal),
    });
    this.#requests.subscribe((change) => this.#onRequestChange(change));
    this.#issuers.subscribe((change) => this.#onIssuerChange('Issuer', change));
    this.#clusterIssuers.subscribe((change) => this.#onIssuerChange('ClusterIssuer', change));
  }

  /** Whether every store has been filled. */
  hasSynced(): boolean {
    return this.#reflectors().every((reflector) => reflector.hasSynced());
  }

  /** Keeps the stores up to date until the signal aborts; a replica that does not lead does only this. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors().map((reflector) => reflector.run(signal)));
  }

  /**
   * Works until `stop` aborts, finishes what is in flight, and cancels that too when `abort` aborts.
   * Events that are still to be sent are sent at the end.
   */
  async work(stop: AbortSignal, abort: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors().map((reflector) => reflector.synced(stop))).catch(() => {});
    if (stop.aborted) return;
    const idle = new AbortController();
    const events = this.#events.run(idle.signal);
    await Promise.all([this.#issuerController.run(stop, abort), this.#requestController.run(stop, abort)]);
    idle.abort(new Error('The controllers have ended'));
    await events;
    await this.#issuerReconciler.close();
    this.#watches.close();
  }

  #reflectors(): readonly Reflector<Issuer | CertificateRequest>[] {
    return [this.#requests, this.#issuers, this.#clusterIssuers] as Reflector<Issuer | CertificateRequest>[];
  }

  #onRequestChange({ current, previous }: Change<CertificateRequest>): void {
    if (current === undefined || isFinished(current))
      this.#requestReconciler.forget((current ?? previous).metadata.uid);
    // A change of the Ready condition alone is our own write, or nothing to act upon.
    if (current === undefined || isFinished(current)) return;
    if (previous === undefined || hasMoved(previous, current)) this.#requestQueue.add(keyOf(current));
  }

  #onIssuerChange(kind: 'Issuer' | 'ClusterIssuer', { current, previous }: Change<Issuer>): void {
    const { id } = targetOfIssuer(kind, (current ?? previous).metadata);
    // Our own status writes need no check; everything else about an issuer does.
    if (
      current?.metadata.generation !== previous?.metadata.generation ||
      current?.metadata.uid !== previous?.metadata.uid
    ) {
      this.#issuerQueue.add(id);
    }
    if (readinessOf(current) !== readinessOf(previous)) this.#wakeRequestsOf(id);
  }

  #wakeRequestsOf(id: IssuerId): void {
    for (const request of this.#requests.store.byIndex(BY_ISSUER, id)) this.#requestQueue.add(keyOf(request));
  }
}

function issuerIdOf(request: CertificateRequest | undefined): string {
  return (request === undefined ? undefined : targetOf(request)?.id) ?? '';
}

/** Whether anything but the Ready condition changed: approval, denial, deletion. */
function hasMoved(previous: CertificateRequest, current: CertificateRequest): boolean {
  const stateOf = ({ metadata, status }: CertificateRequest): string =>
    JSON.stringify([
      metadata.deletionTimestamp,
      (status?.conditions ?? []).filter(({ type }) => type !== READY).map(({ type, status: value }) => [type, value]),
    ]);
  return stateOf(previous) !== stateOf(current);
}

/** What requests that wait for an issuer wait for a change of. */
function readinessOf(issuer: Issuer | undefined): string {
  if (issuer === undefined) return '';
  const { status, reason, message, observedGeneration } = findCondition(issuer.status?.conditions, READY) ?? {};
  return JSON.stringify([issuer.metadata.uid, issuer.metadata.generation, status, reason, message, observedGeneration]);
}
