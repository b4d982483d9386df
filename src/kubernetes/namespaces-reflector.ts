/**
 * As a reflector, of some namespaces only: one for each, so that RBAC need grant nothing outside of them, with one view of
 * all that they hold. Without any namespace there is nothing to hold, and that is known at once.
 */
import { type ChangeHandler, Reflector, type ReflectorDeps, type ReflectorOptions } from './reflector.ts';
import { type KubernetesObject, splitKey } from './resource.ts';
import type { StoreReader } from './store.ts';

/** What a reflector is to those who use what it holds. */
export type ObjectSource<T extends KubernetesObject> = Pick<
  Reflector<T>,
  'store' | 'hasSynced' | 'synced' | 'markNow' | 'isCaughtUp' | 'subscribe' | 'run'
>;

/** A reflector of all namespaces, or of those that are named. */
export function createReflector<T extends KubernetesObject>(
  deps: ReflectorDeps,
  { namespaces, ...options }: ReflectorOptions<T> & { readonly namespaces?: readonly string[] | undefined },
): ObjectSource<T> {
  return namespaces === undefined ? new Reflector(deps, options) : new NamespacesReflector(deps, options, namespaces);
}

class NamespacesReflector<T extends KubernetesObject> implements ObjectSource<T> {
  readonly #reflectors: readonly Reflector<T>[];
  readonly store: StoreReader<T>;

  constructor(deps: ReflectorDeps, options: ReflectorOptions<T>, namespaces: readonly string[]) {
    const byNamespace = new Map(
      namespaces.map((namespace) => {
        const log = deps.log.child({ namespace });
        return [namespace, new Reflector({ ...deps, log }, { ...options, namespace })];
      }),
    );
    this.#reflectors = [...byNamespace.values()];
    this.store = new JoinedStore(new Map(Array.from(byNamespace, ([namespace, { store }]) => [namespace, store])));
  }

  hasSynced(): boolean {
    return this.#reflectors.every((reflector) => reflector.hasSynced());
  }

  async synced(signal?: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.synced(signal)));
  }

  async markNow(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.markNow(signal)));
  }

  isCaughtUp(): boolean {
    return this.#reflectors.every((reflector) => reflector.isCaughtUp());
  }

  subscribe(handler: ChangeHandler<T>): () => void {
    const ends = this.#reflectors.map((reflector) => reflector.subscribe(handler));
    return () => {
      for (const end of ends) end();
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.run(signal)));
  }
}

/** The stores of several namespaces as one. */
class JoinedStore<T extends KubernetesObject> implements StoreReader<T> {
  readonly #byNamespace: ReadonlyMap<string, StoreReader<T>>;

  constructor(byNamespace: ReadonlyMap<string, StoreReader<T>>) {
    this.#byNamespace = byNamespace;
  }

  get size(): number {
    return this.#stores().reduce((sum, { size }) => sum + size, 0);
  }

  get(key: string): T | undefined {
    return this.#byNamespace.get(splitKey(key).namespace ?? '')?.get(key);
  }

  list(): T[] {
    return this.#stores().flatMap((store) => store.list());
  }

  byIndex(indexName: string, value: string): T[] {
    return this.#stores().flatMap((store) => store.byIndex(indexName, value));
  }

  #stores(): readonly StoreReader<T>[] {
    return [...this.#byNamespace.values()];
  }
}
