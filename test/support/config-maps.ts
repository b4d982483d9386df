/**
 * ConfigMaps under a reflector's eye: a watcher that keeps a store and, beside it, a model made of nothing but the
 * changes that its handler was told; and kubectl as the witness of what is true.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { getEventListeners } from 'node:events';
import { promisify } from 'node:util';
import {
  type Change,
  type ClusterConfig,
  createKubernetesClient,
  type KubernetesClient,
  type KubernetesObject,
  keyOf,
  Reflector,
  type ReflectorOptions,
  type Resource,
} from '../../src/kubernetes/index.ts';
import { type Clock, createLogger, type Logger, Registry, systemClock } from '../../src/platform/index.ts';
import { ensureBinary, type KubernetesAccess } from '../../tools/servers/index.ts';

export const CONFIG_MAPS: Resource = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};

export interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** Key → what is compared: uid, version and data. */
export type Snapshot = ReadonlyMap<string, string>;

/** Characters of two, three and four bytes. */
export const TEXT = 'Größe 10 €, 😀';

/** What kubectl prints. */
export async function kubectl({ kubeconfig }: KubernetesAccess, ...words: string[]): Promise<string> {
  const program = await ensureBinary('kubectl');
  const { stdout } = await promisify(execFile)(program, [`--kubeconfig=${kubeconfig}`, ...words], {
    maxBuffer: 1 << 28,
  });
  return stdout;
}

/** What kubectl says there is. */
export async function askKubectl(access: KubernetesAccess, namespace: string): Promise<Snapshot> {
  const json = await kubectl(access, 'get', 'configmaps', `--namespace=${namespace}`, '--output=json');
  return toSnapshot((JSON.parse(json) as { items: ConfigMap[] }).items);
}

export function toSnapshot(objects: Iterable<ConfigMap>): Snapshot {
  const sorted = [...objects].toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  return new Map(
    sorted.map((object) => {
      const { uid, resourceVersion } = object.metadata;
      return [keyOf(object), JSON.stringify({ uid, resourceVersion, data: object.data })];
    }),
  );
}

/** Changes ConfigMaps, past any proxy. */
export class Writer {
  readonly #client: KubernetesClient;
  readonly namespace: string;

  constructor(client: KubernetesClient, namespace: string) {
    this.#client = client;
    this.namespace = namespace;
  }

  async list(): Promise<Snapshot> {
    return toSnapshot((await this.#client.list<ConfigMap>(CONFIG_MAPS, { namespace: this.namespace })).items);
  }

  async create(...names: string[]): Promise<void> {
    for (const name of names) {
      const object = { metadata: { name, namespace: this.namespace }, data: { text: TEXT, value: '0' } };
      await this.#client.create(CONFIG_MAPS, object);
    }
  }

  async change(name: string, value: string): Promise<void> {
    await this.#client.mergePatch(CONFIG_MAPS, { namespace: this.namespace, name }, { data: { value } });
  }

  async delete(name: string): Promise<void> {
    await this.#client.delete(CONFIG_MAPS, { namespace: this.namespace, name });
  }

  /** One of each kind, to the objects `kept`, `changed`, `deleted` and `replaced`. */
  async changeAll(): Promise<void> {
    await this.create('created');
    await this.change('changed', TEXT);
    await this.delete('deleted');
    await this.delete('replaced');
    await this.create('replaced');
  }
}

/** The system's clock, with its time running faster if asked for, that knows how many timers are pending. */
export class CountingClock implements Clock {
  pendingTimers = 0;
  readonly #speed: number;

  constructor(speed = 1) {
    this.#speed = speed;
  }

  now(): number {
    return systemClock.now();
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() * this.#speed;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    this.pendingTimers++;
    let isPending = true;
    const settle = (): void => {
      if (isPending) this.pendingTimers--;
      isPending = false;
    };
    const cancel = systemClock.schedule(delayMs / this.#speed, () => {
      settle();
      callback();
    });
    return () => {
      settle();
      cancel();
    };
  }

  async sleep(durationMs: number, options?: { readonly signal?: AbortSignal }): Promise<void> {
    this.pendingTimers++;
    try {
      await systemClock.sleep(durationMs / this.#speed, options);
    } finally {
      this.pendingTimers--;
    }
  }
}

const KEPT_LINES = 200;

/** Says nothing, but keeps the last of what was said, for the message of a test that fails. */
export function keepLog(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const write = (line: string): void => {
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
  };
  return { lines, log: createLogger({ level: 'debug', encoding: 'console', write }) };
}

export type WatcherOptions = Partial<ReflectorOptions<ConfigMap>> & {
  readonly namespace: string;
  /** How much faster than the system's its clock runs. Default: 1. */
  readonly speed?: number | undefined;
};

export class Watcher implements AsyncDisposable {
  readonly clock: CountingClock;
  readonly reflector: Reflector<ConfigMap>;
  readonly registry = new Registry();
  readonly failures: unknown[] = [];
  readonly lines: readonly string[];
  readonly #client: KubernetesClient;
  readonly #model = new Map<string, ConfigMap>();
  /** The first thing that was wrong with a change. */
  #wrong: string | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(config: ClusterConfig, options: WatcherOptions) {
    const { speed, ...rest } = options;
    const { log, lines } = keepLog();
    this.lines = lines;
    this.clock = new CountingClock(speed);
    this.#client = createKubernetesClient({ clock: this.clock, log, registry: this.registry }, config);
    this.reflector = new Reflector<ConfigMap>(
      { client: this.#client, clock: this.clock, log, random: Math.random },
      { resource: CONFIG_MAPS, onFailure: (error) => this.failures.push(error), ...rest },
    );
    this.reflector.subscribe((change) => this.#replay(change));
    this.#running = this.reflector.run(this.#stop.signal);
  }

  /** How many requests it has made by its own count, which has those in it that never got through. */
  async requests(): Promise<number> {
    const lines = (await this.registry.metrics()).split('\n');
    const counts = lines.filter((line) => line.startsWith('rest_client_requests_total{'));
    return counts.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** Waits until store and model are as the snapshot says; gives how long that took. */
  async converge(truth: Snapshot, withinMs = 10_000): Promise<number> {
    const wanted = JSON.stringify([...truth]);
    const startMs = performance.now();
    let seen = '';
    while (seen !== wanted) {
      if (performance.now() - startMs > withinMs) {
        const what = `after ${withinMs} ms, with failures: ${this.failures.map(String).join('; ')}`;
        assert.equal(seen, wanted, `The store is not what the server holds ${what}\n${this.lines.join('')}`);
      }
      await systemClock.sleep(10); // Polled: a relist that changes nothing tells nobody.
      seen = JSON.stringify([...toSnapshot(this.reflector.store.list())]);
    }
    assert.equal(this.#wrong, undefined);
    assert.deepEqual(toSnapshot(this.#model.values()), truth, 'The changes do not add up to what the server holds');
    return performance.now() - startMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The test is over'));
    await this.#running;
    await this.#client.close();
  }

  /** Ends it, and sees that no timer and no listener is left; of either, the open watch alone may have had one. */
  async end(): Promise<void> {
    assert.ok(getEventListeners(this.#stop.signal, 'abort').length <= 1, 'listeners are left');
    await this[Symbol.asyncDispose]();
    assert.equal(this.clock.pendingTimers, 0, 'timers are left');
  }

  #replay({ type, current, previous }: Change<ConfigMap>): void {
    const key = keyOf(current ?? previous);
    const known = this.#model.get(key);
    const isRight =
      known === previous &&
      (type !== 'updated' ||
        (previous.metadata.uid === current.metadata.uid &&
          Number(previous.metadata.resourceVersion) < Number(current.metadata.resourceVersion)));
    if (!isRight) this.#wrong ??= `${type} ${key}: ${JSON.stringify({ current, previous, known })}`;
    if (current === undefined) this.#model.delete(key);
    else this.#model.set(key, current);
  }
}
