/** The Secrets and ConfigMaps that one issuer names, watched for as long as it names them. */
import type { ConfigMap, Secret } from '../api/index.ts';
import type { NamedObjectHandle, NamedObjectWatches } from '../kubernetes/index.ts';
import type { ObjectReference, ObjectState } from './configuration.ts';

export class ReferencedObjects {
  readonly #watches: Pick<NamedObjectWatches, 'acquire'>;
  readonly #onChange: () => void;
  readonly #handles = new Map<string, NamedObjectHandle<Secret | ConfigMap>>();
  /** Those that `watch()` has waited for. That an object is known at last is no change: whoever waits will look at it. */
  readonly #known = new Set<string>();

  constructor(watches: Pick<NamedObjectWatches, 'acquire'>, onChange: () => void) {
    this.#watches = watches;
    this.#onChange = onChange;
  }

  /** Watches exactly these objects, and waits until each is known. Rejects with the signal's reason. */
  async watch(references: readonly ObjectReference[], signal: AbortSignal): Promise<void> {
    const wanted = new Map(references.map((reference) => [keyOf(reference), reference]));
    for (const [key, { resource, namespace, name }] of wanted) {
      if (this.#handles.has(key)) continue;
      const onChange = (): void => {
        if (this.#known.has(key)) this.#onChange();
      };
      this.#handles.set(key, this.#watches.acquire(resource, namespace, name, onChange));
    }
    for (const [key, handle] of this.#handles) {
      if (wanted.has(key)) continue;
      handle.release();
      this.#handles.delete(key);
      this.#known.delete(key);
    }
    const known = Array.from(this.#handles, async ([key, handle]) => {
      await handle.synced(signal);
      this.#known.add(key);
    });
    await Promise.all(known);
  }

  lookup(reference: ObjectReference): ObjectState {
    const current = this.#handles.get(keyOf(reference))?.current();
    if (current === undefined || current.state === 'unknown') return { state: 'absent' };
    return current;
  }

  /** What changes whenever the object does, another one of its name included. */
  versionOf(reference: ObjectReference): readonly string[] {
    const found = this.lookup(reference);
    return found.state === 'present' ? [found.object.metadata.uid, found.object.metadata.resourceVersion] : [];
  }

  release(): void {
    for (const handle of this.#handles.values()) handle.release();
    this.#handles.clear();
    this.#known.clear();
  }
}

function keyOf({ resource, namespace, name }: ObjectReference): string {
  return `${resource.kind} ${namespace}/${name}`;
}
