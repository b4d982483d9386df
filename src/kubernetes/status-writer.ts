/**
 * Writes statuses by server-side apply: onto exactly the object that the status was made for, as little as possible, and
 * final when the object is gone. The resourceVersion in the apply is what keeps a status from another object that took
 * the name meanwhile; a UID in its body is ignored by the API server.
 */
import type { KubernetesClient } from './client.ts';
import { isConflict, isNotFound } from './errors.ts';
import { readAgain } from './read-again.ts';
import type { KubernetesObject, Resource } from './resource.ts';

/** Somebody else who writes as often as we do is let go first. */
const MAX_CONFLICTS = 10;

export interface StatusWriterOptions {
  readonly resource: Resource;
  /** Owner of the fields that are written; what others hold of them is taken over. */
  readonly fieldManager: string;
}

/**
 * `unchanged`: there was nothing to write. `gone`: the object is deleted, or another one has its name, and there is
 * nothing left to do.
 */
export type StatusWriteResult = 'written' | 'unchanged' | 'gone';

export class StatusWriter<T extends KubernetesObject> {
  readonly #client: Pick<KubernetesClient, 'applyStatus' | 'get'>;
  readonly #options: StatusWriterOptions;

  constructor(deps: { readonly client: Pick<KubernetesClient, 'applyStatus' | 'get'> }, options: StatusWriterOptions) {
    this.#client = deps.client;
    this.#options = options;
  }

  /**
   * Applies what `build` makes of the object: of the given state, and if that is not the newest any more, of what the API
   * server has. `build` gives the whole status of this manager, or undefined when the object says so already.
   * @throws KubernetesError for all but objects that are gone; a conflict when there was one after the other
   */
  async write(
    object: T,
    build: (current: T) => object | undefined,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<StatusWriteResult> {
    const { resource, fieldManager } = this.#options;
    const { name, namespace } = object.metadata;
    let current: T | undefined = object;
    for (let conflicts = 0; current !== undefined; conflicts += 1) {
      const status = build(current);
      if (status === undefined) return 'unchanged';
      const metadata = { name, namespace, resourceVersion: current.metadata.resourceVersion };
      try {
        await this.#client.applyStatus(resource, { metadata, status }, { fieldManager, signal });
        return 'written';
      } catch (error) {
        if (isNotFound(error)) return 'gone';
        if (!isConflict(error) || conflicts >= MAX_CONFLICTS) throw error;
      }
      current = await readAgain(this.#client, resource, { object, signal });
    }
    return 'gone';
  }
}
