/**
 * The way of the requests of one kind: watch → store → queue → reconciler. The queue is shared by all kinds, so that the
 * limits on what is worked on at a time hold for all of them together.
 */
import { type Condition, READY } from '../api/index.ts';
import {
  type Change,
  createReflector,
  keyOf,
  type ObjectSource,
  type ReconcileResult,
  type ReflectorDeps,
} from '../kubernetes/index.ts';
import { backoffMs, errorFields } from '../platform/index.ts';
import type { DecisionPolicy } from './decide.ts';
import type { IssuerId } from './issuer-reference.ts';
import type { AnyRequest, RequestKind } from './request-kind.ts';
import { RequestReconciler, type RequestReconcilerDeps } from './request-reconciler.ts';

export type RequestPipelineDeps<R extends AnyRequest> = ReflectorDeps &
  Omit<RequestReconcilerDeps<R>, 'requests' | 'isCaughtUp'> & {
    /** Puts a request on the queue. */
    readonly enqueue: (key: string) => void;
    readonly enqueueAfter: (key: string, delayMs: number) => void;
  };

export interface RequestPipelineOptions extends DecisionPolicy {
  /** The only namespaces that are served, and in them requests of Issuers alone. Default: all is served. */
  readonly namespaces?: readonly string[] | undefined;
}

const BY_ISSUER = 'issuer';
/** Pauses before a request is finished once more that somebody made look unfinished: that must not become a storm. */
const REOPENED_BACKOFF = { baseMs: 1_000, maxMs: 300_000, jitter: 0.2 };

export class RequestPipeline<R extends AnyRequest> {
  readonly #kind: RequestKind<R>;
  readonly #deps: Pick<RequestPipelineDeps<R>, 'enqueue' | 'enqueueAfter' | 'log' | 'random'>;
  readonly #reflector: ObjectSource<R>;
  readonly #reconciler: RequestReconciler<R>;
  /** By UID, how often somebody made a finished request look unfinished. */
  readonly #reopened = new Map<string, number>();

  constructor(kind: RequestKind<R>, deps: RequestPipelineDeps<R>, options: RequestPipelineOptions) {
    this.#kind = kind;
    this.#deps = deps;
    const { namespaces } = options;
    this.#reflector = createReflector<R>(deps, {
      resource: kind.resource,
      namespaces,
      fieldSelector: kind.fieldSelector,
      accept: (request) => {
        const target = kind.targetOf(request);
        return target !== undefined && (namespaces === undefined || target.kind === 'Issuer');
      },
      ...(kind.prune === undefined ? {} : { prune: kind.prune }),
      // Finished requests need no waking, so the index holds the open ones only.
      indexes: { [BY_ISSUER]: (request) => (kind.isFinished(request) ? [] : [this.#issuerIdOf(request)]) },
    });
    const source = { requests: this.#reflector.store, isCaughtUp: () => this.#reflector.isCaughtUp() };
    this.#reconciler = new RequestReconciler(kind, { ...deps, ...source }, options);
    this.#reflector.subscribe((change) => this.#onChange(change));
  }

  /**
   * Called when this process begins to sign. What another one signed until then may not be in the store yet: until it
   * is, each request is read before it is signed.
   */
  beginWork(signal: AbortSignal): void {
    const mark = async (): Promise<void> => {
      await this.#reflector.synced(signal); // Not before it is permitted.
      await this.#reflector.markNow(signal);
    };
    mark().catch((error: unknown) => {
      const fields = { ...errorFields(error), resource: this.#kind.resource.plural };
      if (!signal.aborted) this.#deps.log.warn(fields, 'Cannot tell how recent the store is: reading before signing');
    });
  }

  hasSynced(): boolean {
    return this.#reflector.hasSynced();
  }

  async synced(signal: AbortSignal): Promise<void> {
    await this.#reflector.synced(signal);
  }

  /** Keeps the store up to date until the signal aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    await this.#reflector.run(signal);
  }

  /** The issuer that a request names; empty when there is no such request. */
  issuerIdOf(key: string): string {
    return this.#issuerIdOf(this.#reflector.store.get(key));
  }

  /** Puts every open request of an issuer on the queue. */
  wakeRequestsOf(id: IssuerId): void {
    for (const request of this.#reflector.store.byIndex(BY_ISSUER, id)) this.#deps.enqueue(keyOf(request));
  }

  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    return await this.#reconciler.reconcile(key, signal);
  }

  #issuerIdOf(request: R | undefined): string {
    return (request === undefined ? undefined : this.#kind.targetOf(request)?.id) ?? '';
  }

  #onChange(change: Change<R>): void {
    if (change.type === 'deleted') {
      this.#reconciler.forget(change.previous.metadata.uid);
      this.#reopened.delete(change.previous.metadata.uid);
      return;
    }
    const { current, previous } = change;
    if (this.#kind.isFinished(current)) this.#reconciler.forget(current.metadata.uid);
    else if (previous?.metadata.uid === current.metadata.uid && this.#kind.isFinished(previous))
      this.#onReopened(current);
    else if (previous === undefined || hasMoved(previous, current)) this.#deps.enqueue(keyOf(current));
  }

  #onReopened(request: R): void {
    const { uid } = request.metadata;
    const times = (this.#reopened.get(uid) ?? 0) + 1;
    this.#reopened.set(uid, times);
    this.#deps.enqueueAfter(keyOf(request), backoffMs(times, REOPENED_BACKOFF, this.#deps.random));
  }
}

/** Whether there is something to act upon: approval, denial, deletion. The Ready condition is our own. */
function hasMoved(previous: AnyRequest, current: AnyRequest): boolean {
  return stateOf(previous) !== stateOf(current);
}

function stateOf({ metadata, status }: AnyRequest): string {
  const conditions: readonly Condition[] = status?.conditions ?? [];
  return JSON.stringify([
    metadata.deletionTimestamp,
    conditions.filter(({ type }) => type !== READY).map(({ type, status: value }) => [type, value]),
  ]);
}
