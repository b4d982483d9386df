/**
 * One measurement of one client, in a process of its own: `kubernetes-contender.ts <who> <what> <kubeconfig>`. Prints one
 * line of JSON. Started by `kubernetes-runtime.ts`, which bundles it and says what the figures mean.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createKubernetesClient,
  type KubernetesObject,
  loadClusterConfig,
  Reflector,
  type Resource,
} from '../src/kubernetes/index.ts';
import { createLogger, Registry, systemClock } from '../src/platform/index.ts';

export const REQUESTS: Resource = {
  group: 'cert-manager.io',
  version: 'v1',
  plural: 'certificaterequests',
  kind: 'CertificateRequest',
  namespaced: true,
};
const NAMESPACE = 'bench';
const PATH = `/apis/cert-manager.io/v1/namespaces/${NAMESPACE}/certificaterequests`;
const PATCHES = 1000;
const MIB = 1 << 20;

interface Request extends KubernetesObject {
  readonly spec: { readonly issuerRef: object };
  readonly status?: { readonly conditions?: readonly object[] };
}

/** The part of @kubernetes/client-node that is used here. */
interface ClientNode {
  readonly KubeConfig: new () => {
    loadFromFile(path: string): void;
    makeApiClient<T>(api: new () => T): T;
  };
  readonly CustomObjectsApi: new () => {
    listNamespacedCustomObject(options: object): Promise<object>;
    patchNamespacedCustomObjectStatus(options: object, configuration: object): Promise<object>;
  };
  readonly makeInformer: (
    config: object,
    path: string,
    list: () => Promise<object>,
  ) => {
    on(event: string, callback: (object: KubernetesObject) => void): void;
    start(): Promise<void>;
    list(): readonly KubernetesObject[];
  };
  readonly Watch: new (
    config: object,
  ) => {
    watch(
      path: string,
      query: object,
      onEvent: (type: string, object: KubernetesObject) => void,
      onEnd: (error: unknown) => void,
    ): Promise<AbortController>;
  };
  readonly setHeaderOptions: (name: string, value: string) => object;
}

const [who, what = '', kubeconfig = '', argument = ''] = process.argv.slice(2);
const statusOf = (round: number): object => ({
  conditions: [
    {
      type: 'Ready',
      status: 'False',
      reason: 'Pending',
      message: `Round ${round} ${'x'.repeat(100)}`,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ],
  certificate: Buffer.alloc(1500, `${round}`).toString('base64'),
});
const say = (figures: object): void => void process.stdout.write(`${JSON.stringify(figures)}\n`);

interface Held {
  readonly count: () => number;
  readonly onChange: (callback: (object: KubernetesObject) => void) => void;
}

/** A client's way to do what is measured. */
interface Contender {
  /** Connects, so that what a process does once is not measured. */
  warmUp(): Promise<unknown>;
  hold(): Promise<Held>;
  patch(name: string, round: number): Promise<void>;
  /** Calls back on each event after that version, until the process ends. */
  watch(version: string, onEvent: () => void): void;
}

async function createOurs(prunes: boolean): Promise<Contender> {
  const log = createLogger({ level: 'error', encoding: 'console', write: (line) => process.stderr.write(line) });
  const config = await loadClusterConfig({ env: {}, kubeconfigPath: kubeconfig });
  const client = createKubernetesClient({ clock: systemClock, log, registry: new Registry() }, config);
  const prune = ({ metadata, spec, status }: Request): Request => ({
    metadata: {
      name: metadata.name,
      namespace: NAMESPACE,
      uid: metadata.uid,
      resourceVersion: metadata.resourceVersion,
      creationTimestamp: metadata.creationTimestamp,
    },
    spec: { issuerRef: spec.issuerRef },
    status: { conditions: status?.conditions ?? [] },
  });
  return {
    warmUp: () => client.list(REQUESTS, { namespace: NAMESPACE, limit: 1 }),
    async hold() {
      const reflector = new Reflector<Request>(
        { client, clock: systemClock, log, random: Math.random },
        { resource: REQUESTS, namespace: NAMESPACE, ...(prunes ? { prune } : {}) },
      );
      const callbacks: ((object: KubernetesObject) => void)[] = [];
      void reflector.run(new AbortController().signal);
      await reflector.synced();
      reflector.subscribe(({ current }) => current && callbacks.forEach((callback) => callback(current)));
      return { count: () => reflector.store.size, onChange: (callback) => callbacks.push(callback) };
    },
    async patch(name, round) {
      const object = { metadata: { namespace: NAMESPACE, name }, status: statusOf(round) };
      await client.applyStatus(REQUESTS, object, { fieldManager: 'bench' });
    },
    watch(version, onEvent) {
      const options = { namespace: NAMESPACE, resourceVersion: version, timeoutSeconds: 300 };
      void (async () => {
        for await (const _ of client.watch(REQUESTS, options)) onEvent();
      })();
    },
  };
}

async function createTheirs(): Promise<Contender> {
  const library = (await import('@kubernetes/client-node')) as unknown as ClientNode;
  const config = new library.KubeConfig();
  config.loadFromFile(kubeconfig);
  const api = config.makeApiClient(library.CustomObjectsApi);
  const { group, version, plural } = REQUESTS;
  const where = { group, version, plural, namespace: NAMESPACE };
  return {
    warmUp: () => api.listNamespacedCustomObject({ ...where, limit: 1 }),
    async hold() {
      const informer = library.makeInformer(config, PATH, () => api.listNamespacedCustomObject(where));
      const callbacks: ((object: KubernetesObject) => void)[] = [];
      const tell = (object: KubernetesObject): void => callbacks.forEach((callback) => callback(object));
      for (const event of ['add', 'update']) informer.on(event, tell);
      // Its own documentation's way to go on after an error, but with 1 s for 5 s.
      informer.on('error', () => setTimeout(() => void informer.start().catch(() => {}), 1000));
      await informer.start();
      return { count: () => informer.list().length, onChange: (callback) => callbacks.push(callback) };
    },
    async patch(name, round) {
      const body = { apiVersion: `${group}/${version}`, kind: 'CertificateRequest', metadata: { name } };
      await api.patchNamespacedCustomObjectStatus(
        { ...where, name, fieldManager: 'bench', force: true, body: { ...body, status: statusOf(round) } },
        library.setHeaderOptions('Content-Type', 'application/apply-patch+yaml'),
      );
    },
    watch(resourceVersion, onEvent) {
      void new library.Watch(config).watch(PATH, { resourceVersion }, onEvent, () => {});
    },
  };
}

async function measureList(contender: Contender): Promise<void> {
  await contender.warmUp();
  await sleep(200);
  const [cpu, rss, startMs] = [process.cpuUsage(), process.memoryUsage().rss, performance.now()];
  /** The longest turn of the event loop; time in which the system gave us no CPU does not count. */
  let blockMs = 0;
  let [turnMs, turnCpu] = [startMs, process.cpuUsage()];
  const turns = setInterval(() => {
    const used = process.cpuUsage(turnCpu);
    const nowMs = performance.now();
    blockMs = Math.max(blockMs, Math.min(nowMs - turnMs, (used.user + used.system) / 1000));
    [turnMs, turnCpu] = [nowMs, process.cpuUsage()];
  }, 1);
  const held = await contender.hold();
  const tookMs = performance.now() - startMs;
  await sleep(1000);
  clearInterval(turns);
  const { user, system } = process.cpuUsage(cpu);
  const peak = process.resourceUsage().maxRSS * 1024;
  global.gc?.();
  say({
    objects: held.count(),
    tookMs,
    cpuMs: (user + system) / 1000,
    peakMiB: peak / MIB,
    peakGrowthMiB: (peak - rss) / MIB,
    heapMiB: process.memoryUsage().heapUsed / MIB,
    blockMs,
  });
}

async function measurePatch(contender: Contender): Promise<void> {
  for (let i = 0; i < 50; i++) await contender.patch(`request-${i}`, -1);
  const [cpu, startMs] = [process.cpuUsage(), performance.now()];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < PATCHES; i = next++) await contender.patch(`request-${i}`, Number(argument));
  };
  await Promise.all(Array.from({ length: 8 }, work));
  const { user, system } = process.cpuUsage(cpu);
  say({ cpuMs: (user + system) / 1000 / PATCHES, perSecond: PATCHES / ((performance.now() - startMs) / 1000) });
}

/** Reads what happened since a version in the past, which the server sends as fast as it can. */
async function measureWatch(contender: Contender): Promise<void> {
  const [version = '', count = ''] = argument.split(':');
  const { promise, resolve } = Promise.withResolvers<void>();
  let events = 0;
  const cpu = process.cpuUsage();
  let firstMs = 0;
  contender.watch(version, () => {
    if (events++ === 0) firstMs = performance.now();
    if (events === Number(count)) resolve();
  });
  await promise;
  const { user, system } = process.cpuUsage(cpu);
  say({ cpuUs: (user + system) / events, perSecond: events / ((performance.now() - firstMs) / 1000) });
}

/** Tells of each change of the one object that the other side marks. */
async function measureResync(contender: Contender): Promise<void> {
  const held = await contender.hold();
  held.onChange((object) => {
    const mark = object.metadata.annotations?.['mark'];
    if (mark !== undefined) say({ mark });
  });
  say({ ready: true });
  await new Promise(() => {});
}

const contender = who === 'client-node' ? await createTheirs() : await createOurs(who === 'ours' && what !== 'resync');
if (what === 'list') await measureList(contender);
else if (what === 'patch') await measurePatch(contender);
else if (what === 'watch') await measureWatch(contender);
else await measureResync(contender);
process.exit(0);
