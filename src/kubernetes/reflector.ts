/**
 * Keeps a store equal to what the API server holds: lists, then watches from there, for as long as it runs. The rules are
 * those of client-go's `tools/cache/reflector.go`:
 * - the first list may come from the server's cache; a later one is never older than what we have seen, and only after
 *   "410 Expired" do we ask for the newest state. Deletions that happened in between are computed;
 * - a watch that ends or breaks is resumed where it was, without a list; bookmarks keep that place recent;
 * - a watch on which nothing arrives, or which outlives the time we asked for, is given up and resumed;
 * - failures, and watches that end or break at once, are followed by a growing, jittered pause.
 * Nothing that a handler, `accept`, `prune` or an index does can stop it.
 */
import { backoffMs, type Clock, errorFields, type Logger } from '../platform/index.ts';
import type { KubernetesClient, WatchEvent } from './client.ts';
import { isBadRequest, isExpired, isKubernetesError, isResourceVersionTooLarge, KubernetesError } from './errors.ts';
import { type KubernetesObject, keyOf, type Resource } from './resource.ts';
import { type Change, type IndexFunction, Store, type StoreReader } from './store.ts';
import { abortable } from './wait.ts';
import { WatchDeadline } from './watch-deadline.ts';

/** What a reflector needs of a client. */
export type ListWatcher = Pick<KubernetesClient, 'listEach' | 'watch'>;

export interface ReflectorDeps {
  readonly client: ListWatcher;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly resource: Resource;
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  /** Lets the server leave out what we do not want. If it refuses, everything is fetched and `accept` alone decides. */
  readonly fieldSelector?: string | undefined;
  /** What belongs in the store. Default: everything. A field selector is only given up where this says the same. */
  readonly accept?: (object: T) => boolean;
  /** Cuts an object down before it is stored. Default: removes `metadata.managedFields`. */
  readonly prune?: (object: T) => T;
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
  /** The store holds what the server listed. */
  readonly onListed?: () => void;
  /** A list or watch failed, and will be tried again. */
  readonly onFailure?: (error: unknown) => void;
}

export type ChangeHandler<T> = (change: Change<T>) => void;

const PAGE_SIZE = 500;
const MIN_WATCH_SECONDS = 300;
/** How much longer than asked a watch may last before we end it. */
const WATCH_GRACE_MS = 15_000;
const SHORT_WATCH_MS = 1000;
/** At most 8 s with jitter, where client-go waits up to a minute: so soon after its end has an outage ended for us too. */
const BACKOFF = { baseMs: 800, maxMs: 4_000, jitter: 1 };
/** What has worked for so long is not made to wait when it fails. */
const BACKOFF_RESET_MS = 120_000;

export class Reflector<T extends KubernetesObject> {
  readonly #deps: ReflectorDeps;
  readonly #log: Logger;
  readonly #options: ReflectorOptions<T>;
  readonly #store: Store<T>;
  readonly #handlers = new Set<ChangeHandler<T>>();
  readonly #firstSync = Promise.withResolvers<void>();
  /** Where to watch from; undefined when we have to list first. */
  #watchFrom: string | undefined;
  /** How old a list may be: `0` any age, '' the newest, else not older than that. */
  #listFrom = '0';
  /** The selector that the last list was made with: the watch uses the same. */
  #fieldSelector: string | undefined;
  #isSelectorRefused = false;
  #hasSynced = false;
  #lastActivityMs = Number.NEGATIVE_INFINITY;
  #lastError: unknown;
  /** How many watches in a row have ended at once. */
  #shortWatches = 0;
  /** The newest version at the time of `markNow()`. */
  #mark: string | undefined;

  constructor(deps: ReflectorDeps, options: ReflectorOptions<T>) {
    this.#deps = deps;
    this.#log = deps.log.child({ resource: options.resource.plural });
    this.#options = options;
    this.#store = new Store(options.indexes);
  }

  get store(): StoreReader<T> {
    return this.#store;
  }

  /** When the server last gave a sign of life, on the monotonic clock; -Infinity for never. */
  get lastActivityMs(): number {
    return this.#lastActivityMs;
  }

  /** Why the store may be out of date; undefined while all is well. */
  get lastError(): unknown {
    return this.#lastError;
  }

  /** The store has been filled once. */
  hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Waits for the store to be filled; rejects with the signal's reason. */
  async synced(signal?: AbortSignal): Promise<void> {
    await abortable(this.#firstSync.promise, signal);
  }

  /**
   * Asks the API server how far it is; from then on `isCaughtUp()` tells whether the store has got there. For those who
   * begin to act on a store that others have filled with facts before: it may lag behind, on a watch that is silent.
   * @throws KubernetesError
   */
  async markNow(signal: AbortSignal): Promise<void> {
    const { resource, namespace } = this.#options;
    const newest = await this.#deps.client.listEach<T>(resource, { namespace, limit: 1, signal }, () => {});
    this.#mark = newest.resourceVersion;
  }

  /** Whether the store holds all that had happened when `markNow()` was called; never before that. */
  isCaughtUp(): boolean {
    return this.#mark !== undefined && isAtLeast(this.#listFrom, this.#mark);
  }

  /**
   * Calls back on every change from now on, and first with what is there already, as additions. Changes come in order,
   * and the store holds them by then. Returns how to end it.
   */
  subscribe(handler: ChangeHandler<T>): () => void {
    this.#handlers.add(handler);
    for (const current of this.#store.list()) this.#notify(handler, { type: 'added', current });
    return () => this.#handlers.delete(handler);
  }

  /** Runs until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    let failures = 0;
    while (!signal.aborted) {
      const startMs = clock.monotonicMs();
      const isResuming = this.#watchFrom !== undefined;
      try {
        if (!isResuming) await this.#list(signal);
        await this.#watch(signal);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        // The server is well, and has told us what to do. Only if it says so of its own list is that a failure.
        if (isResuming && isExpired(error)) {
          this.#loseOurPlace(error);
          continue;
        }
        failures = clock.monotonicMs() - startMs < BACKOFF_RESET_MS ? failures + 1 : 1;
        const pauseMs = backoffMs(failures, BACKOFF, random);
        this.#onFailure(error, { failures, pauseMs });
        await clock.sleep(pauseMs, { signal }).catch(() => {}); // Aborted: the loop ends.
      }
    }
  }

  #onFailure(error: unknown, fields: { failures: number; pauseMs: number }): void {
    this.#lastError = error;
    this.#options.onFailure?.(error);
    if (isExpired(error) || isResourceVersionTooLarge(error)) this.#loseOurPlace(error);
    // Not from the client: an object that is not one. Only a new list can tell what it was.
    if (!(error instanceof KubernetesError)) this.#watchFrom = undefined;
    this.#log.warn({ ...errorFields(error), ...fields }, 'List or watch failed, trying again');
  }

  #loseOurPlace(error: unknown): void {
    this.#watchFrom = undefined;
    this.#listFrom = '';
    this.#log.info(errorFields(error), 'Place in the watch is lost, listing the newest state');
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { fieldSelector, accept } = this.#options;
    const seen = new Set<string>();
    this.#fieldSelector = fieldSelector;
    let version: string;
    try {
      version = await this.#listPages(seen, signal);
    } catch (error) {
      if (!isBadRequest(error) || fieldSelector === undefined || accept === undefined) throw error;
      if (!this.#isSelectorRefused) {
        this.#isSelectorRefused = true;
        this.#log.warn({ fieldSelector }, 'The server does not know the field selector, fetching everything');
      }
      this.#fieldSelector = undefined;
      version = await this.#listPages(seen, signal);
    }
    for (const object of this.#store.list()) {
      const key = keyOf(object);
      if (!seen.has(key)) this.#publish(this.#store.remove(key));
    }
    this.#advanceTo(version);
    this.#onContact();
    if (!this.#hasSynced) {
      this.#hasSynced = true;
      this.#firstSync.resolve();
      this.#log.info({ objects: this.#store.size }, 'Store is filled');
    }
    this.#options.onListed?.();
  }

  /** Puts every object into the store and its key into `seen`; returns the version that was listed. */
  async #listPages(seen: Set<string>, signal: AbortSignal): Promise<string> {
    const { client } = this.#deps;
    const { resource, namespace } = this.#options;
    const common = { namespace, fieldSelector: this.#fieldSelector, signal };
    const onObject = (object: T): void => {
      if (this.#put(object)) seen.add(keyOf(object));
    };
    seen.clear();
    // With a version other than 0, a limit would mean "exactly that version", which may be gone already.
    const isAnyVersion = this.#listFrom === '' || this.#listFrom === '0';
    const first = {
      ...common,
      resourceVersion: this.#listFrom === '' ? undefined : this.#listFrom,
      limit: isAnyVersion ? PAGE_SIZE : undefined,
    };
    let page = await client.listEach<T>(resource, first, onObject);
    while (page.continue !== undefined) {
      try {
        page = await client.listEach<T>(resource, { ...common, limit: PAGE_SIZE, continue: page.continue }, onObject);
      } catch (error) {
        if (!isExpired(error)) throw error;
        seen.clear(); // The snapshot behind the pages is gone: all in one piece.
        page = await client.listEach<T>(resource, common, onObject);
      }
    }
    return page.resourceVersion;
  }

  /** Returns when the server ended the watch in good order, or when we gave it up: in both cases it can be resumed. */
  async #watch(signal: AbortSignal): Promise<void> {
    const { client, clock, random } = this.#deps;
    const { resource, namespace } = this.#options;
    const timeoutSeconds = Math.floor(MIN_WATCH_SECONDS * (1 + random()));
    const startMs = clock.monotonicMs();
    const deadline = new WatchDeadline(clock, signal, timeoutSeconds * 1000 + WATCH_GRACE_MS);
    const isShort = (): boolean => clock.monotonicMs() - startMs < SHORT_WATCH_MS;
    let isOpen = false;
    let events = 0;
    try {
      const watch = client.watch<T>(resource, {
        namespace,
        fieldSelector: this.#fieldSelector,
        resourceVersion: this.#watchFrom ?? '',
        timeoutSeconds,
        signal: deadline.signal,
        onOpen: () => {
          isOpen = true;
          this.#onContact();
        },
      });
      for await (const event of watch) {
        events++;
        deadline.onSignOfLife();
        this.#onContact();
        this.#onEvent(event);
      }
    } catch (error) {
      // A connection that broke after it had served for a while is as good as ended.
      const isBroken = isOpen && !isShort() && isKubernetesError(error) && error.code === 'KUBERNETES_CONNECTION';
      if (!deadline.hasPassed && !isBroken) throw error;
      this.#log.debug(errorFields(error), 'Watch is silent, late or broken, resuming it');
      this.#shortWatches = 0;
      return;
    } finally {
      deadline.end();
    }
    this.#onContact();
    this.#shortWatches = isShort() ? this.#shortWatches + 1 : 0;
    // With an event it may be a coincidence, but not twice: a server that ends every watch must not be asked in a loop.
    if (this.#shortWatches > (events === 0 ? 0 : 1)) {
      throw new KubernetesError('KUBERNETES_MALFORMED', `Cannot watch ${resource.plural}: the watch ended at once`);
    }
  }

  #onEvent({ type, object }: WatchEvent<T>): void {
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        if (!this.#put(object)) this.#publish(this.#store.remove(keyOf(object))); // It has left our selection.
        break;
      case 'DELETED':
        this.#publish(this.#store.remove(keyOf(object)));
        break;
      case 'BOOKMARK':
        break;
      default:
        this.#log.warn({ type: type satisfies never }, 'Unknown kind of watch event');
    }
    this.#advanceTo(object.metadata.resourceVersion);
  }

  /** Stores the object if it is one of ours; an object that we cannot deal with is not. */
  #put(object: T): boolean {
    const { accept, prune = removeManagedFields } = this.#options;
    try {
      if (accept !== undefined && !accept(object)) return false;
      const previous = this.#store.get(keyOf(object))?.metadata;
      const { uid, resourceVersion } = object.metadata;
      const isKnown = previous?.uid === uid && previous.resourceVersion === resourceVersion;
      if (!isKnown) this.#publish(this.#store.put(prune(object)));
      return true;
    } catch (error) {
      this.#log.error({ ...errorFields(error), object: keyOf(object) }, 'Cannot store object, leaving it out');
      return false;
    }
  }

  #publish(changes: readonly Change<T>[]): void {
    for (const change of changes) {
      for (const handler of this.#handlers) this.#notify(handler, change);
    }
  }

  #notify(handler: ChangeHandler<T>, change: Change<T>): void {
    try {
      handler(change);
    } catch (error) {
      const object = keyOf(change.type === 'deleted' ? change.previous : change.current);
      this.#log.error({ ...errorFields(error), object }, 'Handler of a change failed');
    }
  }

  #advanceTo(version: string): void {
    this.#watchFrom = version;
    this.#listFrom = version;
  }

  #onContact(): void {
    this.#lastActivityMs = this.#deps.clock.monotonicMs();
    this.#lastError = undefined;
  }
}

/** Versions of one resource are numbers that grow (KEP-5504); what is none, as before the first list, is too old. */
function isAtLeast(version: string, mark: string): boolean {
  const isNumeric = /^\d+$/.test(version) && /^\d+$/.test(mark);
  return isNumeric && BigInt(version) >= BigInt(mark);
}

function removeManagedFields<T extends KubernetesObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}
