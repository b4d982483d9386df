/** Greets: every ConfigMap with the label `greeter: on` and a `name` is given a `greeting`. */
import {
  Controller,
  createKubernetesClient,
  isNotFound,
  type KubernetesObject,
  keyOf,
  LeaderElector,
  loadClusterConfig,
  Reflector,
  splitKey,
  WorkQueue,
} from '../../src/kubernetes/index.ts';
import { createLogger, Registry, systemClock } from '../../src/platform/index.ts';

interface ConfigMap extends KubernetesObject {
  readonly data?: { readonly name?: string; readonly greeting?: string };
}
const CONFIG_MAPS = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true };

const log = createLogger({ level: 'info', encoding: 'json', write: (line) => process.stdout.write(line) });
const tools = { clock: systemClock, log, registry: new Registry(), random: Math.random };
const client = createKubernetesClient(tools, await loadClusterConfig({ env: process.env }));
const deps = { ...tools, client };

const reflector = new Reflector<ConfigMap>(deps, {
  resource: CONFIG_MAPS,
  accept: ({ metadata }) => metadata.labels?.['greeter'] === 'on',
});
const queue = new WorkQueue(deps, { name: 'greeter' });
reflector.subscribe(({ current, previous }) => queue.add(keyOf(current ?? previous)));

/** Looks at what there is, not at what has happened; so it may be called at any time, and again after any failure. */
async function reconcile(key: string, signal: AbortSignal): Promise<void> {
  const found = reflector.store.get(key);
  const name = found?.data?.name;
  const greeting = `Hello, ${name}!`;
  if (name === undefined || found?.data?.greeting === greeting) return; // Gone, or as it should be: write nothing.
  try {
    await client.mergePatch(CONFIG_MAPS, { ...splitKey(key), signal }, { data: { greeting } });
  } catch (error) {
    if (!isNotFound(error)) throw error; // Logged, counted, and tried again after a pause.
  }
}

const synced = (signal: AbortSignal): Promise<void> => reflector.synced(signal);
const controller = new Controller(deps, { name: 'greeter', queue, workers: 4, timeoutMs: 10_000, synced, reconcile });
const elector = new LeaderElector(deps, { namespace: 'default', name: 'greeter', identity: `${process.pid}` });

const [stop, end] = [new AbortController(), new AbortController()];
process.once('SIGTERM', () => stop.abort(new Error('SIGTERM')));
const watching = reflector.run(end.signal);
await elector.run(stop.signal, (lost) => controller.run(stop.signal, lost)); // Fails, and ends us, if the lease is lost.
end.abort(new Error('Stopped'));
await watching;
await client.close();
