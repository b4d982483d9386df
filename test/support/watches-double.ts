/** Secrets and ConfigMaps as a session watches them, set by hand. */
import type { ApiResource, ConfigMap, Secret } from '../../src/api/index.ts';
import type { NamedObjectHandle, NamedObjectState, NamedObjectWatches } from '../../src/kubernetes/index.ts';

type Watched = Secret | ConfigMap;

interface User {
  readonly id: string;
  readonly onChange: () => void;
}

export class WatchesDouble {
  readonly #states = new Map<string, NamedObjectState<Watched>>();
  readonly #users = new Set<User>();

  /** What is watched at the moment, as `Kind namespace/name`, sorted; as often as it is. */
  get watched(): string[] {
    return [...this.#users].map(({ id }) => id).toSorted();
  }

  /** Changes an object of that kind; everyone who watches it is told. */
  set(kind: 'Secret' | 'ConfigMap', object: Watched): void {
    const { namespace = '', name } = object.metadata;
    this.#change(`${kind} ${namespace}/${name}`, { state: 'present', object });
  }

  /** Takes away `Kind namespace/name`. */
  remove(id: string): void {
    this.#change(id, { state: 'absent' });
  }

  acquire(
    { kind }: ApiResource,
    namespace: string | undefined,
    name: string,
    onChange: () => void,
  ): NamedObjectHandle<Watched> {
    const user = { id: `${kind} ${namespace}/${name}`, onChange };
    this.#users.add(user);
    return {
      current: () => this.#states.get(user.id) ?? { state: 'absent' },
      synced: async (signal) => {
        signal?.throwIfAborted();
        await Promise.resolve();
      },
      release: () => {
        this.#users.delete(user);
      },
    };
  }

  /** For those who take the whole class. */
  asNamedObjectWatches(): NamedObjectWatches {
    return this as unknown as NamedObjectWatches;
  }

  #change(id: string, state: NamedObjectState<Watched>): void {
    this.#states.set(id, state);
    for (const user of this.#users) if (user.id === id) user.onChange();
  }
}
