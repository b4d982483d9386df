/**
 * The objects that a reflector has seen, by key, with indexes. Only the reflector writes; everyone else reads, and must
 * not change what is read: values are shared (client-go `tools/cache/thread_safe_store.go`).
 */
import { type KubernetesObject, keyOf } from './resource.ts';

/** The values under which an index finds an object. */
export type IndexFunction<T> = (object: T) => readonly string[];

export type Change<T> =
  | { readonly type: 'added'; readonly current: T; readonly previous?: undefined }
  | { readonly type: 'updated'; readonly current: T; readonly previous: T }
  | { readonly type: 'deleted'; readonly current?: undefined; readonly previous: T };

/** What everyone but the reflector sees of a store. */
export type StoreReader<T extends KubernetesObject> = Pick<Store<T>, 'get' | 'list' | 'byIndex' | 'size'>;

/** Value → keys. */
type Index = Map<string, Set<string>>;

export class Store<T extends KubernetesObject> {
  readonly #objects = new Map<string, T>();
  /** Invariant: each index holds exactly what its function returns for the objects in `#objects`. */
  readonly #indexes = new Map<string, { readonly index: Index; readonly valuesOf: IndexFunction<T> }>();

  constructor(indexes: Readonly<Record<string, IndexFunction<T>>> = {}) {
    for (const [name, valuesOf] of Object.entries(indexes)) this.#indexes.set(name, { index: new Map(), valuesOf });
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  /** A snapshot. */
  list(): T[] {
    return [...this.#objects.values()];
  }

  /** The objects for which the index of that name holds the value. @throws Error when there is no such index */
  byIndex(indexName: string, value: string): T[] {
    const entry = this.#indexes.get(indexName);
    if (entry === undefined) throw new Error(`Cannot read index "${indexName}": the store has none of that name`);
    const found: T[] = [];
    for (const key of entry.index.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  /** Writes one object; an object that took another's name is a deletion and an addition. */
  put(current: T): Change<T>[] {
    const key = keyOf(current);
    const values = this.#indexValues(current); // First, so that an index function that throws leaves all as it was.
    const previous = this.#objects.get(key);
    if (previous !== undefined) this.#unindex(key, previous);
    this.#objects.set(key, current);
    for (const [index, value] of values) {
      const keys = index.get(value);
      if (keys === undefined) index.set(value, new Set([key]));
      else keys.add(key);
    }
    if (previous === undefined) return [{ type: 'added', current }];
    if (previous.metadata.uid === current.metadata.uid) return [{ type: 'updated', previous, current }];
    return [
      { type: 'deleted', previous },
      { type: 'added', current },
    ];
  }

  remove(key: string): Change<T>[] {
    const previous = this.#objects.get(key);
    if (previous === undefined) return [];
    this.#unindex(key, previous);
    this.#objects.delete(key);
    return [{ type: 'deleted', previous }];
  }

  #unindex(key: string, object: T): void {
    for (const [index, value] of this.#indexValues(object)) {
      const keys = index.get(value);
      keys?.delete(key);
      if (keys?.size === 0) index.delete(value);
    }
  }

  /** Where the object belongs: pairs of an index and a value in it. */
  #indexValues(object: T): [Index, string][] {
    const pairs: [Index, string][] = [];
    for (const { index, valuesOf } of this.#indexes.values()) {
      for (const value of valuesOf(object)) pairs.push([index, value]);
    }
    return pairs;
  }
}
