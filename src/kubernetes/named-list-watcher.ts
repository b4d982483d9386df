/**
 * Lets a reflector follow one object with the verbs `get` and `watch` alone, so that no role has to grant `list`. A get has
 * no list's version to watch from, so the first watch begins at the newest state, which the server tells by an addition;
 * that the object has gone since the get, it does not tell. So it is looked for again once the watch is open.
 */
import type { KubernetesClient, ListOptions, ListResult, ObjectHandler, WatchEvent, WatchOptions } from './client.ts';
import { isNotFound } from './errors.ts';
import type { ListWatcher } from './reflector.ts';
import type { KubernetesObject, ObjectName, Resource } from './resource.ts';

export type NamedObjectClient = Pick<KubernetesClient, 'get' | 'watch'>;

/** What no object can be called (Kubernetes' rule for names), and would lead a path elsewhere. */
const IMPOSSIBLE_NAME = /^\.{0,2}$|[/%]/;
/** Where a watch begins that is given no version. */
const NEWEST = '';

/** The reflector has to restrict its watch to this object by a field selector. */
export class NamedListWatcher implements ListWatcher {
  readonly #client: NamedObjectClient;
  readonly #at: ObjectName;

  constructor(client: NamedObjectClient, at: ObjectName) {
    this.#client = client;
    this.#at = at;
  }

  async listEach<T extends KubernetesObject>(
    resource: Resource,
    { signal }: ListOptions,
    onObject: ObjectHandler<T>,
  ): Promise<ListResult> {
    const object = await this.#find<T>(resource, signal);
    if (object !== undefined) onObject(object);
    return { resourceVersion: NEWEST };
  }

  async *watch<T extends KubernetesObject>(
    resource: Resource,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent<T>, void> {
    if (options.resourceVersion !== NEWEST) {
      yield* this.#client.watch<T>(resource, options);
      return;
    }
    // A watch that is waiting for its next event ends by its signal alone.
    const ended = new AbortController();
    const signal = AbortSignal.any([ended.signal, ...(options.signal === undefined ? [] : [options.signal])]);
    const open = Promise.withResolvers<void>();
    const onOpen = (): void => {
      options.onOpen?.();
      open.resolve();
    };
    const events = this.#client.watch<T>(resource, { ...options, signal, onOpen })[Symbol.asyncIterator]();
    try {
      let next = events.next();
      await Promise.race([open.promise, next]);
      next.catch(() => {}); // Thrown below, where it is awaited.
      if ((await this.#find(resource, options.signal)) === undefined) {
        yield { type: 'DELETED', object: { metadata: { ...this.#at, resourceVersion: NEWEST } } as T };
      }
      for (let result = await next; result.done !== true; result = await next) {
        yield result.value;
        next = events.next();
      }
    } finally {
      ended.abort(new Error('The watch has ended'));
      await events.return?.();
    }
  }

  async #find<T extends KubernetesObject>(resource: Resource, signal: AbortSignal | undefined): Promise<T | undefined> {
    if (IMPOSSIBLE_NAME.test(this.#at.name)) return undefined;
    try {
      return await this.#client.get<T>(resource, { ...this.#at, signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}
