import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { type Clock, Registry } from '../platform/index.ts';
import { KubernetesError } from './errors.ts';
import { LeaderElector, type LeaderElectorDeps, type Lease } from './leader-election.ts';
import { hang, LogDouble } from './testing/test-support.ts';

type Client = LeaderElectorDeps['client'];
/** `lost-answer`: the write happens, its answer never arrives. A promise: the answer arrives when that resolves. */
type Fault = 'none' | 'error' | 'hang' | 'lost-answer' | Promise<void>;

/** The one Lease that there is, with optimistic locking. */
class LeaseServer {
  lease: Lease | undefined;
  #version = 0;

  get holder(): string | undefined {
    return this.lease?.spec?.holderIdentity;
  }

  write(lease: Lease): Lease {
    this.#version++;
    const metadata = { ...lease.metadata, uid: 'uid', resourceVersion: String(this.#version) };
    this.lease = { ...lease, metadata };
    return this.lease;
  }

  /** A client whose calls meet with what `fault` says at that moment. */
  client(fault: () => Fault = () => 'none'): Client {
    const call = async <R>(signal: AbortSignal | undefined, work: () => Lease): Promise<R> => {
      const now = fault();
      await Promise.resolve();
      signal?.throwIfAborted();
      if (now === 'error') throw new KubernetesError('KUBERNETES_CONNECTION', 'Connection refused');
      if (now === 'hang') await hang(signal);
      const lease = work();
      if (now === 'lost-answer') await hang(signal);
      if (now instanceof Promise) await now;
      return lease as R;
    };
    return {
      get: (_resource, { signal }) => call(signal, () => this.lease ?? fail(404, 'NotFound')),
      create: (_resource, object, options) =>
        call(options?.signal, () =>
          this.lease === undefined ? this.write(object as Lease) : fail(409, 'AlreadyExists'),
        ),
      update: (_resource, object, options) =>
        call(options?.signal, () => {
          if (this.lease === undefined) fail(404, 'NotFound');
          if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) fail(409, 'Conflict');
          return this.write(object);
        }),
    };
  }
}

function fail(status: number, reason: string): never {
  throw new KubernetesError('KUBERNETES_API', reason, { status, reason });
}

function createElector(clock: Clock, client: Client, identity = 'a') {
  const registry = new Registry();
  const log = new LogDouble();
  const options = { namespace: 'ns', name: 'lease', identity };
  const elector = new LeaderElector({ client, clock, log, registry, random: () => 0 }, options);
  return { elector, registry, log };
}

/** Leads until the signal aborts, and remembers that. */
function follow(elector: LeaderElector, stop: AbortController) {
  const seen = { isLeading: false, lost: undefined as unknown, error: undefined as unknown };
  const running = elector
    .run(stop.signal, async (lost) => {
      seen.isLeading = true;
      await Promise.race([hang(lost), hang(stop.signal)]).catch(() => {});
      seen.isLeading = false;
      seen.lost = lost.aborted ? lost.reason : undefined;
    })
    .catch((error: unknown) => {
      seen.error = error;
    });
  return { seen, running };
}

describe('LeaderElector', () => {
  test('creates the lease, renews it every 2 s, and lets go of it at the end', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const { elector, registry } = createElector(clock, server.client());
    const stop = new AbortController();
    const { seen, running } = follow(elector, stop);
    await clock.advance(0);
    assert.equal(seen.isLeading, true);
    assert.equal(elector.isLeader(), true);
    assert.deepEqual(server.lease?.spec, {
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      acquireTime: '2026-01-01T00:00:00.000000Z',
      renewTime: '2026-01-01T00:00:00.000000Z',
      leaseTransitions: 0,
    });
    await clock.advance(60_000);
    assert.equal(server.lease?.spec?.renewTime, '2026-01-01T00:01:00.000000Z');
    assert.equal(server.lease?.spec?.acquireTime, '2026-01-01T00:00:00.000000Z');
    assert.match(await registry.metrics(), /leader_election_master_status\{name="lease"\} 1/);
    stop.abort();
    await running;
    assert.equal(seen.error, undefined);
    assert.equal(elector.isLeader(), false);
    assert.equal(server.holder, undefined);
    assert.match(await registry.metrics(), /leader_election_master_status\{name="lease"\} 0/);
    assert.equal(clock.pendingTimers, 0);
  });

  test('is overdue when it is still there 20 s after the lease that it lost has run out, and never else', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    let fault: Fault = 'none';
    const { elector } = createElector(
      clock,
      server.client(() => fault),
    );
    const lost = follow(elector, new AbortController());
    await clock.advance(60_000);
    assert.equal(elector.isOverdue(), false);
    fault = 'error';
    await clock.advance(15_000 + 20_000);
    assert.match(String(lost.seen.error), /Lost lease/);
    assert.equal(elector.isOverdue(), false);
    await clock.advance(1);
    assert.equal(elector.isOverdue(), true);

    const stop = new AbortController();
    const again = follow(elector, stop);
    await clock.advance(60_000);
    assert.equal(elector.isOverdue(), false); // It waits for its turn like any other,
    fault = 'none';
    await clock.advance(2_000);
    assert.equal(again.seen.isLeading, true);
    stop.abort();
    await again.running;
    await clock.advance(60_000);
    assert.equal(elector.isOverdue(), false); // and has let go in good order.
  });

  test('keeps renewing while `lead` finishes its work, and lets go only then', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const { elector } = createElector(clock, server.client());
    const stop = new AbortController();
    const running = elector.run(stop.signal, () => clock.sleep(20_000));
    await clock.advance(0);
    stop.abort();
    await clock.advance(19_999);
    assert.equal(elector.isLeader(), true);
    assert.equal(server.holder, 'a');
    await clock.advance(1);
    await running;
    assert.equal(server.holder, undefined);
  });

  test('an error of `lead` is the run’s, and the lease is let go', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const { elector } = createElector(clock, server.client());
    const running = elector.run(new AbortController().signal, () => Promise.reject(new Error('Mine')));
    await assert.rejects(running, /Mine/);
    assert.equal(server.holder, undefined);
    assert.equal(clock.pendingTimers, 0);
  });

  test('waits for another’s lease as long as we have not seen it change, whatever the times in it say', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const metadata = { name: 'lease', namespace: 'ns', uid: 'uid', resourceVersion: '0', creationTimestamp: '' };
    const longAgo = '2001-01-01T00:00:00.000000Z';
    server.write({
      metadata,
      spec: { holderIdentity: 'b', leaseDurationSeconds: 15, renewTime: longAgo, leaseTransitions: 4 },
    });
    const { elector } = createElector(clock, server.client());
    const stop = new AbortController();
    const { seen, running } = follow(elector, stop);
    await clock.advance(14_000);
    assert.equal(seen.isLeading, false);
    assert.equal(elector.holder, 'b');
    clock.jumpWallClock(86_400_000);
    await clock.advance(999);
    assert.equal(seen.isLeading, false);
    await clock.advance(1);
    assert.equal(seen.isLeading, true);
    assert.equal(server.lease?.spec?.leaseTransitions, 5);
    stop.abort();
    await running;
  });

  test('a released lease is taken at the next try', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const [a, b] = [createElector(clock, server.client(), 'a'), createElector(clock, server.client(), 'b')];
    const [stopA, stopB] = [new AbortController(), new AbortController()];
    const first = follow(a.elector, stopA);
    await clock.advance(0);
    const second = follow(b.elector, stopB);
    await clock.advance(5000);
    stopA.abort();
    await first.running;
    await clock.advance(2000);
    assert.equal(b.elector.isLeader(), true);
    stopB.abort();
    await second.running;
  });

  for (const fault of ['error', 'hang'] as const) {
    test(`leadership is lost 10 s after the last renewal when calls end in ${fault}`, async () => {
      const clock = new ManualClock();
      const server = new LeaseServer();
      let now: Fault = 'none';
      const { elector } = createElector(
        clock,
        server.client(() => now),
      );
      const { seen, running } = follow(elector, new AbortController());
      await clock.advance(20_000);
      now = fault;
      await clock.advance(9999);
      assert.equal(elector.isLeader(), true);
      assert.equal(seen.isLeading, true);
      await clock.advance(1);
      assert.equal(elector.isLeader(), false);
      await running;
      assert.equal(seen.isLeading, false);
      assert.equal((seen.error as KubernetesError).code, 'KUBERNETES_LEASE_LOST');
      assert.equal(seen.lost, seen.error);
      assert.equal(clock.pendingTimers, 0);
    });
  }

  test('losing the lease ends the run at once, even if the work does not heed its signal', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    let now: Fault = 'none';
    const { elector } = createElector(
      clock,
      server.client(() => now),
    );
    const running = elector.run(new AbortController().signal, () => new Promise(() => {}));
    const outcome = assert.rejects(running, { code: 'KUBERNETES_LEASE_LOST' });
    await clock.advance(0);
    now = 'error';
    await clock.advance(10_000);
    await outcome;
  });

  test('a renewal that failed for a while is made up for', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    let now: Fault = 'none';
    const { elector } = createElector(
      clock,
      server.client(() => now),
    );
    const stop = new AbortController();
    const { running } = follow(elector, stop);
    await clock.advance(0);
    for (const fault of ['error', 'hang', 'lost-answer'] as const) {
      now = fault;
      await clock.advance(6000);
      now = 'none';
      await clock.advance(6000);
      assert.equal(elector.isLeader(), true, fault);
    }
    stop.abort();
    await running;
    assert.equal(server.holder, undefined);
  });

  test('a renewal counts from when it was sent, not from when it was answered', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    let now: Fault = 'none';
    const { elector } = createElector(
      clock,
      server.client(() => now),
    );
    const { running } = follow(elector, new AbortController());
    await clock.advance(1000);
    const { promise, resolve } = Promise.withResolvers<void>();
    now = promise;
    await clock.advance(1000); // Sent now, two seconds after the first.
    now = 'error';
    await clock.advance(4000);
    resolve();
    await clock.advance(5999);
    assert.equal(elector.isLeader(), true);
    await clock.advance(1);
    assert.equal(elector.isLeader(), false);
    await running;
  });

  test('a lease that another has taken is not let go for it', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const { elector } = createElector(clock, server.client());
    const stop = new AbortController();
    const { running } = follow(elector, stop);
    await clock.advance(0);
    if (server.lease !== undefined) server.write({ ...server.lease, spec: { holderIdentity: 'b' } });
    stop.abort();
    await running;
    assert.equal(server.holder, 'b');
  });

  test('isLeader() is false after a stall, before any timer has had its turn', () => {
    let nowMs = 0;
    const clock: Clock = {
      now: () => nowMs,
      monotonicMs: () => nowMs,
      schedule: () => () => {},
      sleep: (_, options) => hang(options?.signal),
    };
    const { elector } = createElector(clock, new LeaseServer().client());
    const stop = new AbortController();
    const running = elector.run(stop.signal, () => hang(stop.signal).catch(() => {}));
    return (async () => {
      while (!elector.isLeader()) await Promise.resolve();
      nowMs = 9999;
      assert.equal(elector.isLeader(), true);
      nowMs = 10_000;
      assert.equal(elector.isLeader(), false);
      stop.abort();
      await running;
    })();
  });

  test('a lease that another holds is lost at once', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const { elector } = createElector(clock, server.client());
    const { seen } = follow(elector, new AbortController());
    await clock.advance(0);
    if (server.lease !== undefined)
      server.write({ ...server.lease, spec: { holderIdentity: 'b', leaseDurationSeconds: 15 } });
    await clock.advance(2000);
    assert.match(String(seen.error), /Lost lease ns\/lease: it is held by b/);
    assert.equal(server.holder, 'b');
  });

  test('a lease that was deleted under the leader is made again', async () => {
    const clock = new ManualClock();
    const server = new LeaseServer();
    const { elector } = createElector(clock, server.client());
    const stop = new AbortController();
    const { running } = follow(elector, stop);
    await clock.advance(0);
    server.lease = undefined;
    await clock.advance(2000);
    assert.equal(server.holder, 'a');
    assert.equal(elector.isLeader(), true);
    stop.abort();
    await running;
  });

  test('a stop while waiting ends the run without an error', async () => {
    const clock = new ManualClock();
    const { elector } = createElector(
      clock,
      new LeaseServer().client(() => 'hang'),
    );
    const stop = new AbortController();
    const { seen, running } = follow(elector, stop);
    await clock.advance(1000);
    stop.abort(new Error('Stop'));
    await running;
    assert.deepEqual(seen, { isLeading: false, lost: undefined, error: undefined });
    assert.equal(clock.pendingTimers, 0);
  });

  test('durations that do not fit together are refused', () => {
    const clock = new ManualClock();
    const deps = {
      client: new LeaseServer().client(),
      clock,
      log: new LogDouble(),
      random: () => 0,
      registry: new Registry(),
    };
    const base = { namespace: 'ns', name: 'lease', identity: 'a' };
    for (const wrong of [
      { renewDeadlineMs: 15_000 },
      { retryPeriodMs: 9000 },
      { leaseDurationMs: 15_500 },
      { retryPeriodMs: 0 },
      { identity: '' },
    ]) {
      assert.throws(() => new LeaderElector(deps, { ...base, ...wrong }), /Cannot elect a leader/);
    }
  });
});

describe('LeaderElector, three of them and any sequence of faults', () => {
  test('never do two lead at a time, and somebody leads when the faults are over', async () => {
    const fault = fc.constantFrom<Fault>('none', 'none', 'error', 'hang', 'lost-answer');
    const step = fc.record({
      faults: fc.tuple(fault, fault, fault),
      ms: fc.integer({ min: 0, max: 12_000 }),
      restart: fc.option(fc.nat(2)),
      jumpMs: fc.constantFrom(0, 0, 3_600_000, -3_600_000),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const clock = new ManualClock();
        const server = new LeaseServer();
        let faults: readonly Fault[] = ['none', 'none', 'none'];
        const begin = (index: number, life: number) => {
          const client = server.client(() => faults[index] ?? 'none');
          const { elector } = createElector(clock, client, `${index}-${life}`);
          const stop = new AbortController();
          return { elector, stop, life, ...follow(elector, stop) };
        };
        const electors = [begin(0, 0), begin(1, 0), begin(2, 0)];
        const check = (): void => {
          const leaders = electors.filter(({ elector }) => elector.isLeader());
          assert.ok(leaders.length <= 1, `${leaders.length} lead`);
        };
        const pass = async (ms: number): Promise<void> => {
          for (let passed = 0; passed < ms; passed += 500) {
            await clock.advance(500);
            check();
            for (const [index, one] of electors.entries()) {
              if (one.seen.error !== undefined) electors[index] = begin(index, one.life + 1);
            }
          }
        };
        for (const { faults: next, ms, restart, jumpMs } of steps) {
          faults = next;
          clock.jumpWallClock(jumpMs);
          await pass(ms);
          const old = restart === null ? undefined : electors[restart];
          if (restart === null || old === undefined) continue;
          old.stop.abort();
          electors[restart] = begin(restart, old.life + 1);
        }
        faults = ['none', 'none', 'none'];
        await pass(30_000);
        assert.equal(electors.filter(({ elector }) => elector.isLeader()).length, 1);
        for (const { stop } of electors) stop.abort();
        await clock.advance(0);
      }),
      { numRuns: 60 },
    );
  });
});
