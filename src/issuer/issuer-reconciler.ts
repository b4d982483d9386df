/**
 * Keeps every issuer checked and its status true. An issuer is checked when its spec or one of the objects that it
 * names changes, when a signing raised a doubt, and from time to time; while it is not ready, after 1, 2, then every
 * 5 seconds. Its waiting requests are woken the moment it can sign.
 */
import { CLUSTER_ISSUERS, ISSUERS, type Issuer, type IssuerStatus } from '../api/index.ts';
import { type EventRecorder, type KubernetesClient, type ReconcileResult, StatusWriter } from '../kubernetes/index.ts';
import { errorFields } from '../platform/index.ts';
import { FIELD_MANAGER } from './field-manager.ts';
import { IssuerProblem } from './issuer-problem.ts';
import { type IssuerId, type IssuerTarget, parseIssuerId } from './issuer-reference.ts';
import { IssuerSession, type IssuerSessionDeps, type ReadyIssuer } from './issuer-session.ts';
import { buildIssuerStatus, saysTheSame } from './issuer-status.ts';
import { findIssuer, type IssuerStores } from './issuers.ts';
import type { IssuerMetrics } from './metrics.ts';
import { ISSUER_WARNINGS, type IssuerWarning } from './reasons.ts';

/** Delays between the checks of an issuer that is not ready; the last one stays. */
const RECHECK_MS = [1_000, 2_000, 5_000] as const;
/** A health check comes up to this share of its interval early or late, so that issuers spread over time. */
const INTERVAL_JITTER = 0.1;

export interface IssuerReconcilerDeps extends IssuerSessionDeps {
  readonly client: Pick<KubernetesClient, 'applyStatus' | 'get'>;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly metrics: IssuerMetrics;
  readonly stores: IssuerStores;
  /** Puts an issuer on its queue at once. */
  readonly enqueue: (id: IssuerId) => void;
  /** Called when an issuer that could not sign can, or the configuration that it signs with changed. */
  readonly onReady: (id: IssuerId) => void;
}

/** What is held of an issuer from one check to the next, until it is gone. */
interface KnownIssuer {
  readonly session: IssuerSession;
  /** Failed checks in a row. */
  failures: number;
  /** What the last check had to report, written by us or found there. */
  reported: IssuerStatus | undefined;
  /** For which requests were woken last: a status write that fails in between must not cost them that. */
  announced: ReadyIssuer | undefined;
}

interface CheckReport {
  readonly known: KnownIssuer;
  readonly problem: IssuerProblem | undefined;
  readonly signal: AbortSignal;
}

export class IssuerReconciler {
  readonly #deps: IssuerReconcilerDeps;
  readonly #clusterResourceNamespace: string;
  readonly #statuses: Readonly<Record<IssuerTarget['kind'], StatusWriter<Issuer>>>;
  readonly #known = new Map<string, KnownIssuer>();

  constructor(deps: IssuerReconcilerDeps, options: { readonly clusterResourceNamespace: string }) {
    this.#deps = deps;
    this.#clusterResourceNamespace = options.clusterResourceNamespace;
    this.#statuses = {
      Issuer: new StatusWriter(deps, { resource: ISSUERS, fieldManager: FIELD_MANAGER }),
      ClusterIssuer: new StatusWriter(deps, { resource: CLUSTER_ISSUERS, fieldManager: FIELD_MANAGER }),
    };
  }

  /** The issuer, if its last check passed for this very spec. */
  readyFor(id: IssuerId, issuer: Issuer): ReadyIssuer | undefined {
    return this.#known.get(id)?.session.readyFor(issuer);
  }

  /** The issuer's problem after a signing failed, or undefined when the issuer is not at fault. */
  async verify(id: IssuerId): Promise<IssuerProblem | undefined> {
    return this.#known.get(id)?.session.verify();
  }

  /** Takes the issuer out of service because of a certificate that is not what was asked for. */
  reportMismatch(id: IssuerId, message: string): void {
    this.#known.get(id)?.session.reportMismatch(message);
  }

  /** Tells something about the issuer that does not keep it from signing, once for its present configuration. */
  warnOnce(target: IssuerTarget, warning: IssuerWarning): void {
    const issuer = findIssuer(this.#deps.stores, target);
    if (issuer === undefined || this.#known.get(target.id)?.session.isNews(warning) !== true) return;
    this.#record(target, issuer, { type: 'Warning', reason: warning, note: ISSUER_WARNINGS[warning] });
  }

  /** Whether the issuer's status is what its last check reported, and not what somebody else made of it. */
  isOurs(id: IssuerId, issuer: Issuer): boolean {
    const reported = this.#known.get(id)?.reported;
    return reported !== undefined && saysTheSame(issuer, reported);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const target = parseIssuerId(key);
    const issuer = findIssuer(this.#deps.stores, target);
    if (issuer === undefined || issuer.metadata.deletionTimestamp !== undefined) {
      this.#forget(target.id);
      return; // gone
    }
    const known = this.#knownOf(target);
    const { session } = known;
    const problem = await this.#check(session, issuer, signal);
    await this.#report(target, issuer, { known, problem, signal });
    if (problem === undefined) for (const warning of session.warnings) this.warnOnce(target, warning);
    const ready = problem === undefined ? session.readyFor(issuer) : undefined;
    if (ready !== undefined && ready !== known.announced) {
      known.announced = ready;
      this.#deps.onReady(target.id);
    }
    return { requeueAfterMs: this.#nextCheckMs(known, problem) };
  }

  async #check(session: IssuerSession, issuer: Issuer, signal: AbortSignal): Promise<IssuerProblem | undefined> {
    try {
      await session.check(issuer, signal);
      return undefined;
    } catch (error) {
      if (error instanceof IssuerProblem) return error;
      throw error; // requeue with back-off
    }
  }

  async #report(target: IssuerTarget, issuer: Issuer, { known, problem, signal }: CheckReport): Promise<void> {
    const { clock, log, metrics } = this.#deps;
    const details = known.session.describeStatus();
    metrics.observeIssuer(target, problem, details);
    const change = buildIssuerStatus(issuer, problem, details, clock.now());
    // Before it is written: the watch may show it before the answer comes.
    known.reported = change?.status ?? issuer.status ?? {};
    if (change === undefined) return; // the status says so already
    // The generation is the checked one, whatever it is by now: the check says nothing about a later spec.
    const build = (current: Issuer): IssuerStatus | undefined => {
      const { resourceVersion } = current.metadata;
      const checked = { ...current, metadata: { ...issuer.metadata, resourceVersion } };
      return buildIssuerStatus(checked, problem, details, clock.now())?.status;
    };
    if ((await this.#statuses[target.kind].write(issuer, build, { signal })) !== 'written') return;
    if (!change.isTransition) return;
    const { reason = '', message = '' } = change.condition;
    const fields = { issuer: target.id, reason, message };
    if (problem === undefined) log.info(fields, 'Issuer is ready');
    else log.warn(fields, 'Issuer is not ready');
    this.#record(target, issuer, { type: problem === undefined ? 'Normal' : 'Warning', reason, note: message });
  }

  #record(
    { kind }: IssuerTarget,
    { metadata: { namespace, name, uid } }: Issuer,
    event: { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly note: string },
  ): void {
    const resource = kind === 'Issuer' ? ISSUERS : CLUSTER_ISSUERS;
    const action = event.type === 'Normal' ? 'Synced' : 'SyncFailed';
    this.#deps.events.record({ regarding: { resource, namespace, name, uid }, action, ...event });
  }

  #nextCheckMs(known: KnownIssuer, problem: IssuerProblem | undefined): number {
    if (problem === undefined) {
      known.failures = 0;
      const spread = 1 + INTERVAL_JITTER * (2 * this.#deps.random() - 1);
      return Math.round((known.session.healthCheckIntervalMs ?? 0) * spread);
    }
    const delayMs = RECHECK_MS[Math.min(known.failures, RECHECK_MS.length - 1)] ?? 0;
    known.failures += 1;
    return delayMs;
  }

  #knownOf({ id, namespace }: IssuerTarget): KnownIssuer {
    let known = this.#known.get(id);
    if (known === undefined) {
      const session = new IssuerSession(this.#deps, {
        id,
        namespace: namespace ?? this.#clusterResourceNamespace,
        onChange: () => this.#deps.enqueue(id),
      });
      known = { session, failures: 0, reported: undefined, announced: undefined };
      this.#known.set(id, known);
    }
    return known;
  }

  #forget(id: IssuerId): void {
    this.#deps.metrics.forgetIssuer(parseIssuerId(id));
    const session = this.#known.get(id)?.session;
    this.#known.delete(id);
    // Its calls under way may take their time; an issuer that is made again under the same name need not wait for them.
    session?.close().catch((error: unknown) => {
      this.#deps.log.warn({ issuer: id, ...errorFields(error) }, 'Cannot close the session of an issuer that is gone');
    });
  }

  /** Releases every watch and connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#known.values()].map(({ session }) => session.close()));
    this.#known.clear();
  }
}
