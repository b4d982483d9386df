/**
 * An API server for the reflector's tests: holds widgets and their history, lists them in pages, watches them, and makes
 * the faults it is told to. Scripted, not simulated: each call and each event takes the next fault meant for its kind.
 */
import type { ListOptions, ListResult, NameOptions, ObjectHandler, WatchEvent, WatchOptions } from '../client.ts';
import { KubernetesError } from '../errors.ts';
import type { ListWatcher } from '../reflector.ts';
import { type KubernetesObject, keyOf, type Resource, toKey } from '../resource.ts';
import { abortable, onAbort } from '../wait.ts';
import { hang, type Widget, widget } from './test-support.ts';

/** `none` lets one call pass; `breaks` ends a list in its middle. */
export type ListFault = 'none' | 'error' | 'expired' | 'too-large-version' | 'breaks';
/** `silent` delivers nothing more until the watch is given up. */
export type WatchFault = 'error' | 'expired' | 'resets' | 'closes' | 'silent';

type Call =
  | { readonly verb: 'list'; readonly options: ListOptions }
  | { readonly verb: 'watch'; readonly options: WatchOptions };

const ERRORS: Readonly<Record<Exclude<ListFault | WatchFault, 'none' | 'closes' | 'silent'>, () => KubernetesError>> = {
  error: () => new KubernetesError('KUBERNETES_API', 'Cannot serve', { status: 500 }),
  breaks: () => new KubernetesError('KUBERNETES_CONNECTION', 'Connection broke'),
  resets: () => new KubernetesError('KUBERNETES_CONNECTION', 'Connection reset'),
  expired: () => new KubernetesError('KUBERNETES_API', 'Too old', { status: 410, reason: 'Expired' }),
  'too-large-version': () =>
    new KubernetesError('KUBERNETES_API', 'Too large', {
      status: 504,
      details: { causes: [{ reason: 'ResourceVersionTooLarge' }] },
    }),
};

export class ListWatcherDouble implements ListWatcher {
  readonly calls: Call[] = [];
  readonly gets: NameOptions[] = [];
  readonly listFaults: ListFault[] = [];
  readonly #watchFaults: WatchFault[] = [];
  /** How many objects a page holds, whatever the limit. */
  pageSize = 2;
  refusesFieldSelectors = false;
  /** How many versions the cache, which answers lists of any version, lags behind. */
  cacheLag = 0;
  openWatches = 0;
  #version = 0;
  #oldestVersion = 0;
  readonly #history: WatchEvent<Widget>[] = [];
  readonly #wakes = new Set<() => void>();

  get version(): number {
    return this.#version;
  }

  /** The objects as of a version; the newest by default. */
  objects(version = this.#version): Map<string, Widget> {
    const objects = new Map<string, Widget>();
    for (const { type, object } of this.#history.slice(0, version)) {
      if (type === 'DELETED') objects.delete(keyOf(object));
      else objects.set(keyOf(object), object);
    }
    return objects;
  }

  put(name: string, rest: { uid?: string; colour?: string } = {}): void {
    const exists = this.objects().has(`ns/${name}`);
    this.#append(exists ? 'MODIFIED' : 'ADDED', widget(name, this.#version + 1, rest));
  }

  delete(name: string): void {
    const object = this.objects().get(`ns/${name}`);
    if (object === undefined) return;
    this.#append('DELETED', {
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#version + 1) },
    });
  }

  /** Tells watchers how far they are, as the API server does every minute. */
  bookmark(): void {
    this.#append('BOOKMARK', widget('', this.#version + 1));
  }

  /** Has the watch, once it has delivered what there is, end like this; in turn with others that were asked for. */
  failWatch(...faults: WatchFault[]): void {
    this.#watchFaults.push(...faults);
    this.#wake();
  }

  /** Forgets the history so far, as etcd's compaction does. */
  compact(): void {
    this.#oldestVersion = this.#version;
  }

  /** Takes the next fault of a list. */
  async get<T extends KubernetesObject>(_: Resource, options: NameOptions): Promise<T> {
    this.gets.push(options);
    await Promise.resolve();
    options.signal?.throwIfAborted();
    const fault = this.listFaults.shift();
    if (fault !== undefined && fault !== 'none') throw ERRORS[fault]();
    const found = this.objects().get(toKey(options));
    if (found === undefined)
      throw new KubernetesError('KUBERNETES_API', 'Not there', { status: 404, reason: 'NotFound' });
    return found as KubernetesObject as T;
  }

  async listEach<T>(_: Resource, options: ListOptions, onObject: ObjectHandler<T>): Promise<ListResult> {
    this.calls.push({ verb: 'list', options });
    await Promise.resolve();
    options.signal?.throwIfAborted();
    if (options.fieldSelector !== undefined && this.refusesFieldSelectors) {
      throw new KubernetesError('KUBERNETES_API', 'Field label not supported', { status: 400 });
    }
    const fault = this.listFaults.shift();
    if (fault !== undefined && fault !== 'breaks' && fault !== 'none') throw ERRORS[fault]();
    const [listed = '', offset = '0'] = (options.continue ?? '').split(':');
    const version = listed === '' ? this.#versionToList(options.resourceVersion) : Number(listed);
    if (version < this.#oldestVersion && listed !== '') throw ERRORS.expired();
    const all = [...this.objects(version).values()].filter(({ metadata }) => metadata.name !== '');
    const end = options.limit === undefined ? all.length : Number(offset) + this.pageSize;
    for (const object of all.slice(Number(offset), end)) {
      onObject(object as T);
      if (fault === 'breaks') throw ERRORS.breaks();
    }
    if (fault === 'breaks') throw ERRORS.breaks();
    return { resourceVersion: String(version), ...(end < all.length ? { continue: `${version}:${end}` } : {}) };
  }

  async *watch<T extends KubernetesObject>(_: Resource, options: WatchOptions): AsyncGenerator<WatchEvent<T>, void> {
    this.calls.push({ verb: 'watch', options });
    this.openWatches++;
    try {
      options.onOpen?.();
      // Without a version, a watch begins with what there is.
      let next = options.resourceVersion === '' ? this.#version : Number(options.resourceVersion);
      if (options.resourceVersion === '') {
        for (const object of this.objects().values()) yield { type: 'ADDED', object: object as KubernetesObject as T };
      }
      for (;;) {
        options.signal?.throwIfAborted();
        if (next < this.#oldestVersion) throw ERRORS.expired();
        const event = this.#history[next];
        if (event !== undefined) {
          next++;
          yield event as WatchEvent<T>;
          continue;
        }
        const fault = this.#watchFaults.shift();
        if (fault === 'closes') return;
        if (fault === 'silent') await hang(options.signal);
        else if (fault !== undefined) throw ERRORS[fault]();
        else await this.#untilWoken(options.signal);
      }
    } finally {
      this.openWatches--;
    }
  }

  #versionToList(atLeast: string | undefined): number {
    if (atLeast === undefined) return this.#version;
    return Math.max(Number(atLeast), this.#oldestVersion, this.#version - this.cacheLag);
  }

  #append(type: WatchEvent<Widget>['type'], object: Widget): void {
    this.#version++;
    this.#history.push({ type, object });
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
    this.#wakes.clear();
  }

  async #untilWoken(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakes.add(resolve);
    const unlink = onAbort(signal, () => resolve());
    await abortable(promise, signal).finally(unlink);
  }
}
