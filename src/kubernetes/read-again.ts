/** Reads an object anew, and nothing that took its name meanwhile. */
import type { KubernetesClient } from './client.ts';
import { isNotFound } from './errors.ts';
import type { KubernetesObject, Resource } from './resource.ts';

/**
 * The object as the API server has it now; undefined when it is gone or another one has its name.
 * @throws KubernetesError
 */
export async function readAgain<T extends KubernetesObject>(
  client: Pick<KubernetesClient, 'get'>,
  resource: Resource,
  { object, signal }: { readonly object: T; readonly signal: AbortSignal },
): Promise<T | undefined> {
  const { name, namespace, uid } = object.metadata;
  try {
    const found = await client.get<T>(resource, { name, namespace, signal });
    return found.metadata.uid === uid ? found : undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
