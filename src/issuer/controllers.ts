/**
 * Wires the subject to the runtime: what is watched, what a change puts on which queue, and how all of it starts and
 * stops. The way of a request: watch event → store → queue → `RequestReconciler` → one status write; `RequestPipeline`
 * has the parts of it that each kind of request has for itself.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type CertificateRequest,
  type CertificateSigningRequest,
  CLUSTER_ISSUERS,
  ISSUERS,
  type Issuer,
  READY,
} from '../api/index.ts';
import {
  type Change,
  Controller,
  createReflector,
  EventRecorder,
  type KubernetesClient,
  NamedObjectWatches,
  type ObjectSource,
  splitKey,
  WorkQueue,
} from '../kubernetes/index.ts';
import type { Clock, Logger, Registry } from '../platform/index.ts';
import { certificateRequestKind } from './certificate-request-kind.ts';
import { findCondition } from './conditions.ts';
import { FIELD_MANAGER } from './field-manager.ts';
import { IssuerReconciler } from './issuer-reconciler.ts';
import { type IssuerId, targetOfIssuer } from './issuer-reference.ts';
import { IssuerMetrics } from './metrics.ts';
import { untilPermitted } from './permission.ts';
import { RequestPipeline } from './request-pipeline.ts';
import { SIGNING_REQUEST_PERMISSIONS, signingRequestKind } from './signing-request-kind.ts';

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
  /** The only namespaces that are served. ClusterIssuers and Kubernetes' requests, which have none, are then left alone. */
  readonly namespaces?: readonly string[] | undefined;
  /** Whether Kubernetes' CertificateSigningRequests are signed too. */
  readonly signKubernetesRequests: boolean;
  /** Whether a CertificateRequest waits for an approver. */
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
/** A request that takes longer waits for a slow CFSSL, and its place is given to others. */
const STALL_AFTER_MS = 200;
/** A status that somebody else wrote is put right after this pause, so that a fight over it never becomes a storm. */
const FOREIGN_STATUS_PAUSE_MS = 1_000;
const REQUEST_BACKOFF = { baseDelayMs: 1_000, maxDelayMs: 300_000 };

export class Controllers {
  readonly #deps: ControllersDeps;
  readonly #issuers: ObjectSource<Issuer>;
  readonly #clusterIssuers: ObjectSource<Issuer>;
  readonly #watches: NamedObjectWatches;
  readonly #events: EventRecorder;
  readonly #requestQueue: WorkQueue;
  readonly #issuerQueue: WorkQueue;
  readonly #certificateRequests: RequestPipeline<CertificateRequest>;
  readonly #signingRequests: RequestPipeline<CertificateSigningRequest> | undefined;
  readonly #issuerReconciler: IssuerReconciler;
  readonly #requestController: Controller;
  readonly #issuerController: Controller;

  constructor(deps: ControllersDeps, options: ControllersOptions) {
    this.#deps = deps;
    const { namespaces } = options;
    this.#issuers = createReflector<Issuer>(deps, { resource: ISSUERS, namespaces });
    this.#clusterIssuers = createReflector<Issuer>(deps, { resource: CLUSTER_ISSUERS, namespaces: namespaces && [] });
    this.#watches = new NamedObjectWatches(deps);

    this.#requestQueue = new WorkQueue(deps, {
      name: 'certificaterequest',
      ...REQUEST_BACKOFF,
      groupOf: (key) => this.#pipelineOf(key)?.issuerIdOf(key) ?? '',
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
    const enqueue = (key: string): void => this.#requestQueue.add(key);
    const enqueueAfter = (key: string, delayMs: number): void => this.#requestQueue.addAfter(key, delayMs);
    const pipelineDeps = { ...shared, issuers: this.#issuerReconciler, enqueue, enqueueAfter };
    this.#certificateRequests = new RequestPipeline(certificateRequestKind, pipelineDeps, options);
    this.#signingRequests =
      options.signKubernetesRequests && namespaces === undefined
        ? new RequestPipeline(signingRequestKind, pipelineDeps, options)
        : undefined;
    this.#issuerController = new Controller(deps, {
      name: 'issuer',
      queue: this.#issuerQueue,
      workers: ISSUER_WORKERS,
      stallAfterMs: STALL_AFTER_MS,
      timeoutMs: ISSUER_TIMEOUT_MS,
      reconcile: (key, signal) => this.#issuerReconciler.reconcile(key, signal),
    });
    this.#requestController = new Controller(deps, {
      name: 'certificaterequest',
      queue: this.#requestQueue,
      workers: options.maxConcurrentRequests,
      stallAfterMs: STALL_AFTER_MS,
      timeoutMs: REQUEST_TIMEOUT_MS,
      reconcile: async (key, signal) => await this.#pipelineOf(key)?.reconcile(key, signal),
    });
    this.#issuers.subscribe((change) => this.#onIssuerChange('Issuer', change));
    this.#clusterIssuers.subscribe((change) => this.#onIssuerChange('ClusterIssuer', change));
  }

  /** Whether every store has been filled, but for one that may have to wait for permission. */
  hasSynced(): boolean {
    return this.#stores().every((store) => store.hasSynced());
  }

  /** Keeps the stores up to date until the signal aborts; a replica that does not lead does only this. */
  async watch(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#issuers.run(signal),
      this.#clusterIssuers.run(signal),
      this.#certificateRequests.watch(signal),
      this.#watchSigningRequests(signal),
    ]);
  }

  /**
   * Works until `stop` aborts, finishes what is in flight, and cancels that too when `abort` aborts.
   * Events that are still to be sent are sent at the end.
   */
  async work(stop: AbortSignal, abort: AbortSignal): Promise<void> {
    await Promise.all(this.#stores().map((store) => store.synced(stop))).catch(() => {});
    if (stop.aborted) return;
    const idle = new AbortController();
    const events = this.#events.run(idle.signal);
    this.#certificateRequests.beginWork(stop);
    this.#signingRequests?.beginWork(stop);
    await Promise.all([this.#issuerController.run(stop, abort), this.#requestController.run(stop, abort)]);
    idle.abort(new Error('The controllers have ended'));
    await events;
    await this.#issuerReconciler.close();
    this.#watches.close();
  }

  /** What has to be known before the work begins. */
  #stores() {
    return [this.#issuers, this.#clusterIssuers, this.#certificateRequests];
  }

  /** They take permissions that earlier versions did not; without those, all else goes on. */
  async #watchSigningRequests(signal: AbortSignal): Promise<void> {
    if (this.#signingRequests === undefined) return;
    const purpose = 'CertificateSigningRequests of certificates.k8s.io';
    await untilPermitted(this.#deps, SIGNING_REQUEST_PERMISSIONS, { signal, purpose }).catch(() => {}); // aborted
    if (!signal.aborted) await this.#signingRequests.watch(signal);
  }

  /** Both kinds share the queue; the key of a CertificateRequest alone has a namespace. */
  #pipelineOf(
    key: string,
  ): RequestPipeline<CertificateRequest> | RequestPipeline<CertificateSigningRequest> | undefined {
    return splitKey(key).namespace === undefined ? this.#signingRequests : this.#certificateRequests;
  }

  #onIssuerChange(kind: 'Issuer' | 'ClusterIssuer', { current, previous }: Change<Issuer>): void {
    const { id } = targetOfIssuer(kind, (current ?? previous).metadata);
    if (
      current?.metadata.generation !== previous?.metadata.generation ||
      current?.metadata.uid !== previous?.metadata.uid
    ) {
      this.#issuerQueue.add(id);
    } else if (current !== undefined && !isDeepStrictEqual(current.status, previous?.status)) {
      // Our own status writes need no check. What others wrote does not even wake requests: the mended status will.
      if (!this.#issuerReconciler.isOurs(id, current)) {
        this.#issuerQueue.addAfter(id, FOREIGN_STATUS_PAUSE_MS);
        return;
      }
    }
    if (readinessOf(current) !== readinessOf(previous)) this.#wakeRequestsOf(id);
  }

  #wakeRequestsOf(id: IssuerId): void {
    this.#certificateRequests.wakeRequestsOf(id);
    this.#signingRequests?.wakeRequestsOf(id);
  }
}

/** What requests that wait for an issuer wait for a change of. */
function readinessOf(issuer: Issuer | undefined): string {
  if (issuer === undefined) return '';
  const { status, reason, message, observedGeneration } = findCondition(issuer.status?.conditions, READY) ?? {};
  return JSON.stringify([issuer.metadata.uid, issuer.metadata.generation, status, reason, message, observedGeneration]);
}
