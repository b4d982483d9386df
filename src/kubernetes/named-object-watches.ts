/**
 * Watches of single objects, such as the Secrets that other objects name: each is watched for as long as someone refers
 * to it, over one connection however many do, and with a `metadata.name` field selector, so that RBAC can grant it by
 * `resourceNames`: `get` and `watch` suffice. Nothing else of the kind is ever fetched or held.
 */

import type { Logger } from '../platform/index.ts';
import { NamedListWatcher, type NamedObjectClient } from './named-list-watcher.ts';
import { Reflector, type ReflectorDeps } from './reflector.ts';
import { type KubernetesObject, type Resource, toKey } from './resource.ts';
import { abortable } from './wait.ts';

/** What is known of a named object. */
export type NamedObjectState<T> =
  /** Not asked yet, or no answer yet. */
  | { readonly state: 'unknown' }
  | { readonly state: 'absent' }
  | { readonly state: 'present'; readonly object: T }
  /** The server has never let us see it; we go on asking. Later failures leave the state as it was last seen. */
  | { readonly state: 'failed'; readonly error: Error };

export interface NamedObjectHandle<T extends KubernetesObject = KubernetesObject> {
  current(): NamedObjectState<T>;
  /** Waits until the state is no longer `unknown`; rejects with the signal's reason. */
  synced(signal?: AbortSignal): Promise<void>;
  /** Ends this user's interest; no callback follows. */
  release(): void;
}

interface User {
  readonly onChange: () => void;
}

export type NamedObjectWatchesDeps = Omit<ReflectorDeps, 'client'> & { readonly client: NamedObjectClient };

export class NamedObjectWatches {
  readonly #deps: NamedObjectWatchesDeps;
  readonly #watches = new Map<string, NamedObjectWatch>();

  constructor(deps: NamedObjectWatchesDeps) {
    this.#deps = deps;
  }

  /** How many distinct objects are watched. */
  get size(): number {
    return this.#watches.size;
  }

  /** Watches the object until the handle is released. `onChange` is called after each change of `current()`. */
  acquire<T extends KubernetesObject>(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    onChange: () => void,
  ): NamedObjectHandle<T> {
    const id = `${resource.plural}.${resource.group} ${toKey({ namespace, name })}`;
    let watch = this.#watches.get(id);
    if (watch === undefined) {
      watch = new NamedObjectWatch(this.#deps, { resource, namespace, name });
      this.#watches.set(id, watch);
    }
    const user: User = { onChange };
    const shared = watch;
    shared.users.add(user);
    return {
      current: () => shared.state as NamedObjectState<T>,
      synced: (signal) => shared.synced(signal),
      release: () => {
        shared.users.delete(user);
        if (shared.users.size > 0 || this.#watches.get(id) !== shared) return;
        this.#watches.delete(id);
        shared.close();
      },
    };
  }

  /** Ends all watches. */
  close(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
  }
}

class NamedObjectWatch {
  readonly users = new Set<User>();
  state: NamedObjectState<KubernetesObject> = { state: 'unknown' };
  readonly #log: Logger;
  readonly #key: string;
  readonly #reflector: Reflector<KubernetesObject>;
  readonly #closed = new AbortController();
  readonly #known = Promise.withResolvers<void>();

  constructor(
    deps: NamedObjectWatchesDeps,
    { resource, namespace, name }: { resource: Resource; namespace: string | undefined; name: string },
  ) {
    this.#key = toKey({ namespace, name });
    this.#log = deps.log.child({ object: this.#key });
    const client = new NamedListWatcher(deps.client, { namespace, name });
    this.#reflector = new Reflector(
      { ...deps, client, log: this.#log },
      {
        resource,
        namespace,
        fieldSelector: `metadata.name=${escapeFieldValue(name)}`,
        onListed: () => this.#update(this.#seen()),
        onFailure: (error) => {
          if (!this.#reflector.hasSynced()) this.#update({ state: 'failed', error: error as Error });
        },
      },
    );
    this.#reflector.subscribe(() => this.#update(this.#seen()));
    void this.#reflector.run(this.#closed.signal);
  }

  async synced(signal: AbortSignal | undefined): Promise<void> {
    await abortable(this.#known.promise, signal);
  }

  close(): void {
    this.#closed.abort(new Error('The watch was released'));
    this.#known.resolve(); // Whoever still waits has no use for the answer.
  }

  #seen(): NamedObjectState<KubernetesObject> {
    const object = this.#reflector.store.get(this.#key);
    return object === undefined ? { state: 'absent' } : { state: 'present', object };
  }

  #update(next: NamedObjectState<KubernetesObject>): void {
    if (this.#closed.signal.aborted) return;
    const before = this.state;
    const isSameObject = next.state !== 'present' || (before.state === 'present' && before.object === next.object);
    const isSameError =
      next.state !== 'failed' || (before.state === 'failed' && before.error.message === next.error.message);
    this.state = next;
    this.#known.resolve();
    if (before.state === next.state && isSameObject && isSameError) return;
    for (const { onChange } of this.users) {
      try {
        onChange();
      } catch (error) {
        this.#log.error({ error: String(error) }, 'Handler of a named object failed');
      }
    }
  }
}

/** A name may be anything that somebody wrote somewhere (apimachinery `pkg/fields`, `EscapeValue`). */
function escapeFieldValue(value: string): string {
  return value.replaceAll(/[\\,=]/g, (character) => `\\${character}`);
}
