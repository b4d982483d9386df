/**
 * Leader election on a Lease (client-go `tools/leaderelection`). It guarantees, as long as each process's monotonic clock
 * runs at about the same speed, that no two processes lead at a time:
 * - whether another's lease has run out is judged by how long ago *we* saw it change, never by the times written in it;
 * - a leader counts itself deposed `renewDeadline` after it *sent* its last successful renewal, which is well before
 *   anyone may take over; `isLeader()` works that out when it is asked, so a stalled process cannot be fooled;
 * - a write only succeeds on the Lease that was read (resourceVersion).
 */
import {
  type Clock,
  errorFields,
  formatMicroTime,
  type Logger,
  type Registry,
  withTimeout,
} from '../platform/index.ts';
import type { KubernetesClient } from './client.ts';
import { isAlreadyExists, isConflict, isNotFound, KubernetesError } from './errors.ts';
import { sharedGauge } from './metrics.ts';
import type { KubernetesObject, Resource } from './resource.ts';

export interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

export interface Lease extends KubernetesObject {
  readonly spec?: LeaseSpec;
}

export const LEASES: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export interface LeaderElectorDeps {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'update'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
  readonly registry: Registry;
}

export interface LeaderElectorOptions {
  readonly namespace: string;
  readonly name: string;
  /** Tells this process from all others, also from an earlier one in the same pod. */
  readonly identity: string;
  /** How long others wait for a renewal before they take over. Whole seconds. Default: 15 s. */
  readonly leaseDurationMs?: number;
  /** How long a leader goes on without a renewal. Default: 10 s. */
  readonly renewDeadlineMs?: number;
  /** Pause between two tries. Default: 2 s. */
  readonly retryPeriodMs?: number;
}

/**
 * While waiting for leadership, pauses grow by a random share of themselves up to this factor: less than client-go's 1.2,
 * so that a lease that was let go is taken within 3 s.
 */
const JITTER = 0.2;

/** How much longer than its lease a process that has lost it may take to end. */
const OVERDUE_TOLERANCE_MS = 20_000;

export class LeaderElector {
  readonly #deps: LeaderElectorDeps;
  readonly #log: Logger;
  readonly #options: Required<LeaderElectorOptions>;
  readonly #status;
  /** The Lease as last read or written, and when we saw its spec change. */
  #observed: Lease | undefined;
  #observedSpec = '';
  #observedAtMs = Number.NEGATIVE_INFINITY;
  /** Invariant: while set, the last renewal that was sent then has succeeded, and we have not let go since. */
  #renewedAtMs: number | undefined;
  /** The last renewal of a lease that was not let go in good order. */
  #unreleasedAtMs: number | undefined;

  /** @throws Error when the durations do not fit together */
  constructor(deps: LeaderElectorDeps, options: LeaderElectorOptions) {
    const defaults = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
    this.#deps = deps;
    this.#options = { ...defaults, ...options };
    this.#log = deps.log.child({ lease: `${options.namespace}/${options.name}` });
    const { leaseDurationMs, renewDeadlineMs, retryPeriodMs, identity } = this.#options;
    if (identity === '') throw new Error('Cannot elect a leader: the identity is empty');
    if (leaseDurationMs % 1000 !== 0) throw new Error('Cannot elect a leader: the lease must last whole seconds');
    if (leaseDurationMs <= renewDeadlineMs || renewDeadlineMs <= retryPeriodMs * (1 + JITTER) || retryPeriodMs <= 0) {
      throw new Error('Cannot elect a leader: want lease duration > renew deadline > 1.2 times retry period > 0');
    }
    const help =
      'Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.';
    const gauge = sharedGauge(deps.registry, 'leader_election_master_status', help, ['name'] as const);
    this.#status = gauge.labels(options.name);
    this.#status.set(0);
  }

  /** Whether this process leads at this very moment. */
  isLeader(): boolean {
    return this.#remainingMs() > 0;
  }

  /**
   * Whether this process should long have ended: it has led, could not renew the lease in all the time that it lasts and
   * 20 s more, and is still there (controller-runtime's `leaderelection.HealthzAdaptor`).
   */
  isOverdue(): boolean {
    if (this.#unreleasedAtMs === undefined) return false;
    const sinceMs = this.#deps.clock.monotonicMs() - this.#unreleasedAtMs;
    return sinceMs > this.#options.leaseDurationMs + OVERDUE_TOLERANCE_MS;
  }

  /** Who holds the lease, as far as we know. */
  get holder(): string | undefined {
    return this.#observed?.spec?.holderIdentity || undefined;
  }

  /**
   * Waits for leadership, or for the signal; then leads until `lead` ends, and lets go of the lease. The signal given to
   * `lead` aborts when leadership is lost, and only then: a `lead` that is to stop for another reason sees to that.
   * Settles as `lead` does.
   * @throws KubernetesError with code KUBERNETES_LEASE_LOST, at once when leadership is lost
   */
  async run(signal: AbortSignal, lead: (lost: AbortSignal) => Promise<void>): Promise<void> {
    if (!(await this.#acquire(signal))) return;
    const lost = new AbortController();
    const ended = new AbortController();
    this.#status.set(1);
    this.#log.info({}, 'Became leader');
    const work = lead(lost.signal).finally(() => ended.abort(new Error('The leader has ended')));
    try {
      await this.#keepRenewing(ended.signal);
    } catch (error) {
      this.#letGo();
      lost.abort(error);
      work.catch((cause: unknown) => this.#log.debug(errorFields(cause), 'Work ended with leadership'));
      throw error;
    }
    try {
      await work;
    } finally {
      await this.#release();
    }
  }

  /** True once we lead; false when the signal aborted first. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#deps;
    let shownHolder: string | undefined;
    this.#unreleasedAtMs = undefined;
    while (!signal.aborted) {
      try {
        if (await this.#tryOnce(this.#callTimeoutMs(), signal)) return true;
        if (this.holder !== shownHolder) this.#log.info({ holder: this.holder }, 'Waiting for leadership');
        shownHolder = this.holder;
      } catch (error) {
        if (!signal.aborted) this.#log.warn(errorFields(error), 'Cannot acquire lease, trying again');
      }
      await clock.sleep(this.#waitMs(), { signal }).catch(() => {}); // Aborted: the loop ends.
    }
    if (this.#renewedAtMs !== undefined) await this.#release(); // The signal came while the answer was on its way.
    return false;
  }

  /** Until the next try to acquire: a jittered retry period, but no longer than until another's lease runs out. */
  #waitMs(): number {
    const { clock, random } = this.#deps;
    const pauseMs = this.#options.retryPeriodMs * (1 + JITTER * random());
    const spec = this.#observed?.spec;
    if (!spec?.holderIdentity || spec.holderIdentity === this.#options.identity) return pauseMs;
    const leftMs = this.#observedAtMs + (spec.leaseDurationSeconds ?? 0) * 1000 - clock.monotonicMs();
    return leftMs > 0 ? Math.min(pauseMs, leftMs) : pauseMs;
  }

  /** Resolves when the signal aborts. @throws KubernetesError when leadership is lost */
  async #keepRenewing(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    let lastError: unknown;
    for (;;) {
      const pauseMs = Math.min(this.#options.retryPeriodMs, Math.max(0, this.#remainingMs()));
      await clock.sleep(pauseMs, { signal }).catch(() => {}); // Aborted: we return.
      if (signal.aborted) return;
      const remainingMs = this.#remainingMs();
      if (remainingMs <= 0) throw this.#lost('it could not be renewed in time', lastError);
      try {
        const isOurs = await this.#tryOnce(Math.min(remainingMs, this.#callTimeoutMs()), signal);
        if (!isOurs) throw this.#lost(`it is held by ${this.holder ?? 'nobody'}`);
        lastError = undefined;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof KubernetesError && error.code === 'KUBERNETES_LEASE_LOST') throw error;
        lastError = error;
        this.#log.warn({ remainingMs: this.#remainingMs(), ...errorFields(error) }, 'Cannot renew lease, trying again');
      }
    }
  }

  /** One try to get or to keep the lease, under a deadline. True when it is ours. */
  async #tryOnce(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return await withTimeout(this.#deps.clock, { timeoutMs, signal }, async (signal) => {
      if (this.#renewedAtMs !== undefined && this.#observed !== undefined) {
        try {
          await this.#write(this.#observed, signal);
          return true;
        } catch (error) {
          if (!isConflict(error) && !isNotFound(error)) throw error; // Else it has changed under us: read it.
        }
      }
      const lease = await this.#read(signal);
      if (lease !== undefined && this.#isHeldByAnother(lease)) return false;
      try {
        await this.#write(lease, signal);
        return true;
      } catch (error) {
        if (isConflict(error) || isAlreadyExists(error)) return false; // Another was quicker.
        throw error;
      }
    });
  }

  #isHeldByAnother({ spec = {} }: Lease): boolean {
    if (!spec.holderIdentity || spec.holderIdentity === this.#options.identity) return false;
    return this.#deps.clock.monotonicMs() < this.#observedAtMs + (spec.leaseDurationSeconds ?? 0) * 1000;
  }

  async #read(signal: AbortSignal): Promise<Lease | undefined> {
    const { namespace, name } = this.#options;
    try {
      const lease = await this.#deps.client.get<Lease>(LEASES, { namespace, name, signal });
      this.#observe(lease);
      return lease;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Writes us as holder, over this Lease or as a new one. */
  async #write(lease: Lease | undefined, signal: AbortSignal): Promise<void> {
    const { client, clock } = this.#deps;
    const { namespace, name, identity, leaseDurationMs } = this.#options;
    const sentAtMs = clock.monotonicMs();
    const now = formatMicroTime(clock.now());
    const old = lease?.spec;
    const isRenewal = old?.holderIdentity === identity;
    const transitions = old?.leaseTransitions ?? 0;
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: leaseDurationMs / 1000,
      acquireTime: isRenewal ? (old.acquireTime ?? now) : now,
      renewTime: now,
      leaseTransitions: isRenewal || lease === undefined ? transitions : transitions + 1,
    };
    const written =
      lease === undefined
        ? await client.create<object>(LEASES, { metadata: { name, namespace }, spec }, { signal })
        : await client.update<Lease>(LEASES, { ...lease, spec }, { signal });
    this.#observe(written as Lease);
    this.#renewedAtMs = sentAtMs;
    this.#unreleasedAtMs = sentAtMs;
  }

  #observe(lease: Lease): void {
    const spec = JSON.stringify(lease.spec);
    if (spec !== this.#observedSpec) this.#observedAtMs = this.#deps.clock.monotonicMs();
    this.#observed = lease;
    this.#observedSpec = spec;
  }

  /** Lets others take over at once, if the lease is still ours. A failure costs them the rest of the lease, no more. */
  async #release(): Promise<void> {
    this.#letGo();
    this.#unreleasedAtMs = undefined;
    const { client, clock } = this.#deps;
    try {
      await withTimeout(clock, { timeoutMs: this.#callTimeoutMs() }, async (signal) => {
        const lease = await this.#read(signal);
        if (lease?.spec?.holderIdentity !== this.#options.identity) return;
        const now = formatMicroTime(clock.now());
        const { leaseTransitions = 0 } = lease.spec;
        const spec: LeaseSpec = { leaseDurationSeconds: 1, acquireTime: now, renewTime: now, leaseTransitions };
        await client.update<Lease>(LEASES, { ...lease, spec }, { signal });
      });
      this.#log.info({}, 'Released lease');
    } catch (error) {
      this.#log.warn(errorFields(error), 'Cannot release lease, it will run out');
    }
  }

  #letGo(): void {
    this.#renewedAtMs = undefined;
    this.#status.set(0);
  }

  #remainingMs(): number {
    if (this.#renewedAtMs === undefined) return 0;
    return this.#renewedAtMs + this.#options.renewDeadlineMs - this.#deps.clock.monotonicMs();
  }

  /** Leaves time for a second try within the renew deadline. */
  #callTimeoutMs(): number {
    return this.#options.renewDeadlineMs / 2;
  }

  #lost(why: string, cause?: unknown): KubernetesError {
    const { namespace, name } = this.#options;
    this.#log.error({ holder: this.holder }, 'Lost leadership');
    return new KubernetesError('KUBERNETES_LEASE_LOST', `Lost lease ${namespace}/${name}: ${why}`, { cause });
  }
}
