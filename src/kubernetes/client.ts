/**
 * The verbs of the Kubernetes API on plain objects: JSON in, JSON out, times as strings, nothing generated. Every call
 * has a deadline and a bound on its answer; every failure is a `KubernetesError`, but for an abort by the caller, which
 * is the signal's reason.
 */
import { type Clock, type Logger, type Registry, TimeoutError, withTimeout } from '../platform/index.ts';
import { inTurns, readBody, readLines } from './body.ts';
import type { ClusterConfig } from './cluster-config.ts';
import { errorFromStatus, KubernetesError, quote, type Status } from './errors.ts';
import { ListDecoder } from './list-decoder.ts';
import {
  apiVersionOf,
  type KubernetesObject,
  type Location,
  type ObjectName,
  pathOf,
  type Resource,
} from './resource.ts';
import { type Call, Transport, toError } from './transport.ts';
import { onAbort } from './wait.ts';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Deadline of the whole call; the client's own when absent. */
  readonly timeoutMs?: number;
}

export interface NameOptions extends CallOptions, ObjectName {}

export interface ListOptions extends CallOptions {
  /** All namespaces when absent. */
  readonly namespace?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly labelSelector?: string | undefined;
  /** Absent: the newest state. `0`: any state, from the cache. Else: a state no older than that. */
  readonly resourceVersion?: string | undefined;
  readonly limit?: number | undefined;
  readonly continue?: string | undefined;
}

export interface ListResult {
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly continue?: string;
}

export interface List<T> extends ListResult {
  readonly items: T[];
}

export type ObjectHandler<T> = (object: T) => void;

export interface WatchOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly resourceVersion: string;
  /** How long the server keeps the watch open. */
  readonly timeoutSeconds: number;
  /** The server has accepted the watch. */
  readonly onOpen?: () => void;
}

export interface WatchEvent<T> {
  /** A bookmark's object carries a resourceVersion and nothing else. */
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

/** The part of an object that a status is applied to. */
export interface StatusPatch {
  readonly metadata: ObjectName & {
    /** When given, the object must still be this very one and unchanged: `isConflict` otherwise. */
    readonly resourceVersion?: string | undefined;
  };
  readonly status: unknown;
}

export interface KubernetesClient {
  get<T extends KubernetesObject>(resource: Resource, options: NameOptions): Promise<T>;
  /** A whole list, or one page of it when there is a `limit`. */
  list<T extends KubernetesObject>(resource: Resource, options?: ListOptions): Promise<List<T>>;
  /** As `list`, but hands over each object while the rest is still arriving. */
  listEach<T extends KubernetesObject>(
    resource: Resource,
    options: ListOptions,
    onObject: ObjectHandler<T>,
  ): Promise<ListResult>;
  /** Ends when the server ends the watch; an error that the server sends as an event is thrown. */
  watch<T extends KubernetesObject>(resource: Resource, options: WatchOptions): AsyncIterable<WatchEvent<T>>;
  create<T extends object>(resource: Resource, object: T, options?: CallOptions & { namespace?: string }): Promise<T>;
  /** Replaces the object, if it still has the resourceVersion in it. */
  update<T extends KubernetesObject>(resource: Resource, object: T, options?: CallOptions): Promise<T>;
  /** JSON merge patch (RFC 7386). */
  mergePatch<T extends KubernetesObject>(resource: Resource, options: NameOptions, patch: object): Promise<T>;
  /** Server-side apply of the status subresource, taking over what other managers hold of the same fields. */
  applyStatus<T extends KubernetesObject>(
    resource: Resource,
    object: StatusPatch,
    options: CallOptions & { readonly fieldManager: string },
  ): Promise<T>;
  delete(resource: Resource, options: NameOptions & { readonly uid?: string }): Promise<void>;
  /** Closes all connections; calls under way fail. */
  close(): Promise<void>;
}

export interface KubernetesClientOptions {
  /** Default: `kubernetes-client`. */
  readonly userAgent?: string;
  /** Deadline of a call that sets none. Default: 30 s; a list gets twice as much. */
  readonly timeoutMs?: number;
  /** Largest object. Default: 16 MiB, ten times what etcd takes. */
  readonly maxObjectBytes?: number;
}

export interface ClientDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly registry: Registry;
}

export function createKubernetesClient(
  deps: ClientDeps,
  config: ClusterConfig,
  options: KubernetesClientOptions = {},
): KubernetesClient {
  return new HttpKubernetesClient(deps, config, options);
}

class HttpKubernetesClient implements KubernetesClient {
  readonly #clock: Clock;
  readonly #transport: Transport;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;

  constructor(deps: ClientDeps, config: ClusterConfig, options: KubernetesClientOptions) {
    this.#clock = deps.clock;
    this.#transport = new Transport(deps, config, { userAgent: options.userAgent ?? 'kubernetes-client' });
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#maxBytes = options.maxObjectBytes ?? 16 << 20;
  }

  async get<T>(resource: Resource, options: NameOptions): Promise<T> {
    const doing = describe('get', resource, options);
    return await this.#json<T>({ method: 'GET', path: pathOf(resource, options), doing }, options);
  }

  async list<T extends KubernetesObject>(resource: Resource, options: ListOptions = {}): Promise<List<T>> {
    const items: T[] = [];
    const result = await this.listEach<T>(resource, options, (object) => items.push(object));
    return { ...result, items };
  }

  async listEach<T>(resource: Resource, options: ListOptions, onObject: ObjectHandler<T>): Promise<ListResult> {
    const { resourceVersion, limit, continue: continueToken } = options;
    const query = { ...selectors(options), resourceVersion, limit, continue: continueToken };
    const doing = describe('list', resource, options);
    const call: Call = {
      method: 'GET',
      path: pathOf(resource, { namespace: options.namespace }) + toQuery(query),
      doing,
    };
    const deadline = { signal: options.signal, timeoutMs: options.timeoutMs ?? 2 * this.#timeoutMs };
    const { metadata } = await this.#withAnswer(call, deadline, async (body) => {
      const bounds = { doing, maxBytes: this.#maxBytes };
      const decoder = new ListDecoder(bounds, (json) => onObject(parse(doing, json) as T));
      for await (const chunk of inTurns(body, this.#clock)) decoder.push(chunk);
      return decoder.end();
    });
    if (!metadata?.resourceVersion) {
      throw new KubernetesError('KUBERNETES_MALFORMED', `Cannot ${doing}: the list has no resourceVersion`);
    }
    const { resourceVersion: listed, continue: next } = metadata;
    return { resourceVersion: listed, ...(next ? { continue: next } : {}) };
  }

  async *watch<T>(resource: Resource, options: WatchOptions): AsyncGenerator<WatchEvent<T>, void> {
    const { resourceVersion, timeoutSeconds, signal } = options;
    const query = { ...selectors(options), watch: 1, allowWatchBookmarks: true, resourceVersion, timeoutSeconds };
    const doing = describe('watch', resource, options);
    const path = pathOf(resource, { namespace: options.namespace }) + toQuery(query);
    // Ends the request in every way this function can end, so that no connection outlives its reader.
    const ended = new AbortController();
    const unlink = onAbort(signal, (reason) => ended.abort(reason));
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const cancelDeadline = this.#clock.schedule(timeoutMs, () => ended.abort(new TimeoutError(timeoutMs)));
    try {
      const { body } = await this.#transport.send({ method: 'GET', path, doing }, ended.signal);
      cancelDeadline(); // The deadline was for the headers; from here on the reader decides how long silence may last.
      options.onOpen?.();
      for await (const line of readLines(inTurns(body, this.#clock), { doing, maxBytes: this.#maxBytes })) {
        const event = parse(doing, line) as { type: string; object: T };
        if (event.type === 'ERROR') throw errorFromStatus(doing, event.object as Status);
        yield event as WatchEvent<T>;
      }
    } catch (error) {
      throw toError(doing, error, ended.signal);
    } finally {
      cancelDeadline();
      unlink();
      ended.abort(new Error('The watch has ended'));
    }
  }

  async create<T extends object>(
    resource: Resource,
    object: T,
    options: CallOptions & { namespace?: string } = {},
  ): Promise<T> {
    const metadata = (object as { metadata?: Location }).metadata;
    const where = { namespace: options.namespace ?? metadata?.namespace };
    const doing = describe('create', resource, { ...where, name: metadata?.name });
    const body = JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...object });
    return await this.#json<T>({ method: 'POST', path: pathOf(resource, where), doing, body }, options);
  }

  async update<T extends KubernetesObject>(resource: Resource, object: T, options: CallOptions = {}): Promise<T> {
    const doing = describe('update', resource, object.metadata);
    const body = JSON.stringify({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...object });
    return await this.#json<T>({ method: 'PUT', path: pathOf(resource, object.metadata), doing, body }, options);
  }

  async mergePatch<T>(resource: Resource, options: NameOptions, patch: object): Promise<T> {
    const doing = describe('patch', resource, options);
    const contentType = 'application/merge-patch+json';
    const body = JSON.stringify(patch);
    return await this.#json<T>({ method: 'PATCH', path: pathOf(resource, options), doing, body, contentType }, options);
  }

  async applyStatus<T>(
    resource: Resource,
    { metadata, status }: StatusPatch,
    options: CallOptions & { readonly fieldManager: string },
  ): Promise<T> {
    const { name, namespace, resourceVersion } = metadata;
    const doing = describe('apply status of', resource, metadata);
    const query = toQuery({ fieldManager: options.fieldManager, force: true });
    const path = pathOf(resource, metadata, 'status') + query;
    const body = JSON.stringify({
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { name, namespace, resourceVersion },
      status,
    });
    const contentType = 'application/apply-patch+yaml'; // JSON is YAML.
    return await this.#json<T>({ method: 'PATCH', path, doing, body, contentType }, options);
  }

  async delete(resource: Resource, options: NameOptions & { readonly uid?: string }): Promise<void> {
    const doing = describe('delete', resource, options);
    const body = options.uid === undefined ? '{}' : JSON.stringify({ preconditions: { uid: options.uid } });
    await this.#json({ method: 'DELETE', path: pathOf(resource, options), doing, body }, options);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #json<T>(call: Call, options: CallOptions): Promise<T> {
    const bounds = { doing: call.doing, maxBytes: this.#maxBytes };
    return await this.#withAnswer(call, options, async (body) => parse(call.doing, await readBody(body, bounds)) as T);
  }

  /** Sends the call and reads its answer, both under the one deadline. */
  async #withAnswer<R>(
    call: Call,
    { signal, timeoutMs = this.#timeoutMs }: CallOptions,
    read: (body: Awaited<ReturnType<Transport['send']>>['body']) => Promise<R>,
  ): Promise<R> {
    return await withTimeout(this.#clock, { timeoutMs, signal }, async (signal) => {
      try {
        const { body } = await this.#transport.send(call, signal);
        return await read(body);
      } catch (error) {
        throw toError(call.doing, error, signal);
      }
    });
  }
}

function describe(verb: string, resource: Resource, { namespace, name }: Location): string {
  const where = [namespace, name].filter((part) => part !== undefined).join('/');
  const kinds = resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
  return where === '' ? `${verb} ${kinds}` : `${verb} ${kinds} ${quote(where)}`;
}

function selectors({
  fieldSelector,
  labelSelector,
}: {
  fieldSelector?: string | undefined;
  labelSelector?: string | undefined;
}) {
  return { fieldSelector, labelSelector };
}

function toQuery(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const set = Object.entries(values).filter(([, value]) => value !== undefined);
  return set.length === 0
    ? ''
    : `?${set.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join('&')}`;
}

function parse(doing: string, json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // No cause: the parser's message quotes what it read, and that may be a Secret.
    throw new KubernetesError('KUBERNETES_MALFORMED', `Cannot ${doing}: the answer is not JSON`);
  }
}
