/**
 * Replicas that compete for a Lease on the real API server, and what can befall the one that leads. Each tells when it
 * acted as leader; the times are of one clock, the machine's monotonic one. At no moment do two act, another takes over
 * within 20 s, and within 3 s after a clean stop. Two rounds begin with three replicas and go on with the two left.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNamespace, getServers } from './support/environment.ts';
import { FaultProxy } from './support/fault-proxy.ts';

const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

class Replica {
  readonly identity: string;
  readonly proxy: FaultProxy;
  /** When it acted. */
  readonly acts: number[] = [];
  readonly lines: string[] = [];
  readonly process: ChildProcess;
  readonly ended: Promise<string>;
  #wake = Promise.withResolvers<void>();

  constructor(identity: string, proxy: FaultProxy, words: readonly string[]) {
    this.identity = identity;
    this.proxy = proxy;
    const program = join(import.meta.dirname, 'support/replica.ts');
    this.process = spawn(process.execPath, [program, proxy.url, ...words, identity], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.ended = new Promise((resolve) => {
      this.process.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    if (this.process.stdout === null) throw new Error('No output');
    createInterface(this.process.stdout).on('line', (line) => {
      if (line.startsWith('act ')) this.acts.push(Number(line.slice(4)));
      else this.lines.push(line);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    });
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#wake.promise;
  }
}

class Group implements AsyncDisposable {
  readonly replicas: Replica[] = [];
  readonly #undo = new AsyncDisposableStack();

  static async start(name: string, count: number): Promise<Group> {
    const { controlPlane, cluster } = await getServers();
    const namespace = await createNamespace(cluster, 'leadership');
    const group = new Group();
    const folder = await mkdtemp(join(tmpdir(), 'leadership-'));
    group.#undo.defer(() => rm(folder, { recursive: true }));
    for (let index = 0; index < count; index++) {
      const proxy = group.#undo.use(await FaultProxy.start(controlPlane));
      const ca = join(folder, `ca-${index}`);
      await writeFile(ca, proxy.caPem);
      group.replicas.push(new Replica(`${name}-${index}`, proxy, [ca, namespace, name]));
    }
    await Promise.all(group.replicas.map((replica) => replica.until(() => replica.lines.includes('ready'))));
    return group;
  }

  /** Waits for a replica that acts after that moment; gives it and when it first did. */
  async leaderAfter(momentMs: number, but?: Replica): Promise<{ readonly leader: Replica; readonly atMs: number }> {
    const others = this.replicas.filter((replica) => replica !== but);
    const first = (replica: Replica) => replica.acts.find((atMs) => atMs > momentMs);
    const leader = await Promise.race(
      others.map(async (replica) => {
        await replica.until(() => first(replica) !== undefined);
        return replica;
      }),
    );
    return { leader, atMs: first(leader) ?? 0 };
  }

  /** Puts all acts into intervals: one ends where another replica acts. */
  assertOneAtATime(): void {
    const acts = this.replicas.flatMap(({ identity, acts }) => acts.map((atMs) => ({ identity, atMs })));
    acts.sort((a, b) => a.atMs - b.atMs);
    const intervals: { identity: string; fromMs: number; toMs: number }[] = [];
    for (const { identity, atMs } of acts) {
      const last = intervals.at(-1);
      if (last?.identity === identity) last.toMs = atMs;
      else intervals.push({ identity, fromMs: atMs, toMs: atMs });
    }
    // Nobody ever leads twice: who has lost, ends. So each has one interval, unless two acted in turns.
    const shown = intervals.map(({ identity, fromMs, toMs }) => `${identity}: ${fromMs} to ${toMs}`).join('\n');
    assert.equal(new Set(intervals.map(({ identity }) => identity)).size, intervals.length, `Two acted:\n${shown}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process } of this.replicas) process.kill('SIGKILL');
    await Promise.all(this.replicas.map(({ ended }) => ended));
    await this.#undo.disposeAsync();
  }
}

interface Play {
  readonly name: string;
  readonly replicas: number;
  /** How often the fault befalls whoever leads then. */
  readonly rounds: number;
  /** How soon another must have taken over. */
  readonly withinMs: number;
  /** Resolves once the replica has ended. */
  readonly fault: (leader: Replica) => Promise<void>;
}

async function play(t: TestContext, { name, replicas, rounds, withinMs, fault }: Play): Promise<void> {
  await using group = await Group.start(name, replicas);
  let { leader } = await group.leaderAfter(0);
  for (let round = 1; round <= rounds; round++) {
    const faultAtMs = nowMs();
    const [next] = await Promise.all([group.leaderAfter(faultAtMs, leader), fault(leader)]);
    const tookMs = Math.round(next.atMs - faultAtMs);
    t.diagnostic(`${next.leader.identity} took over after ${tookMs} ms`);
    assert.ok(tookMs < withinMs, `${next.leader.identity} took over after ${tookMs} ms`);
    leader = next.leader;
  }
  await group.leaderAfter(nowMs() + 500); // Long enough for a second one to show itself.
  group.assertOneAtATime();
}

/** It has said that it lost the lease, and ended with an error. */
async function assertLost(replica: Replica): Promise<void> {
  assert.equal(await replica.ended, 'exit code 1');
  assert.match(
    replica.lines.at(-1) ?? '',
    /^error Lost lease leadership-\d+\/\S+: it (could not be renewed|is held by)/,
  );
}

describe('LeaderElector, when the leading replica', { concurrency: true }, () => {
  test('is killed', async (t) => {
    const fault = async (leader: Replica): Promise<void> => {
      leader.process.kill('SIGKILL');
      assert.equal(await leader.ended, 'SIGKILL');
    };
    await play(t, { name: 'kill', replicas: 3, rounds: 2, withinMs: 20_000, fault });
  });

  test('is asked to stop', async (t) => {
    const fault = async (leader: Replica): Promise<void> => {
      leader.process.kill('SIGTERM');
      assert.equal(await leader.ended, 'exit code 0');
    };
    await play(t, { name: 'stop', replicas: 3, rounds: 2, withinMs: 3_000, fault });
  });

  for (const replicas of [2, 3]) {
    test(`is halted for 30 s, of ${replicas}`, async (t) => {
      const fault = async (leader: Replica): Promise<void> => {
        leader.process.kill('SIGSTOP');
        await sleep(30_000);
        leader.process.kill('SIGCONT');
        await assertLost(leader);
      };
      await play(t, { name: `halt-${replicas}`, replicas, rounds: 1, withinMs: 20_000, fault });
    });
  }

  test('is cut off from the network', async (t) => {
    const fault = async (leader: Replica): Promise<void> => {
      leader.proxy.cut();
      await assertLost(leader);
    };
    await play(t, { name: 'cut', replicas: 3, rounds: 2, withinMs: 20_000, fault });
  });
});
