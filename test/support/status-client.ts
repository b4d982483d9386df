/**
 * The API server as a writer of statuses sees it, scripted: each call takes the next answer that is meant for its kind,
 * and succeeds when there is none.
 */
import { type KubernetesClient, KubernetesError, type StatusPatch } from '../../src/kubernetes/index.ts';

export interface Applied {
  readonly resource: string;
  readonly object: StatusPatch;
  readonly fieldManager: string;
}

export class StatusClientDouble {
  /** Every status that was sent, whatever became of it. */
  readonly applied: Applied[] = [];
  /** The errors that the next writes end with; `undefined` for a success among them. */
  readonly applyErrors: (Error | undefined)[] = [];
  /** What the next reads give. */
  readonly reads: (object | Error)[] = [];
  /** How often an object was read. */
  readCount = 0;

  async applyStatus(
    { kind }: { readonly kind: string },
    object: StatusPatch,
    { fieldManager }: { readonly fieldManager: string },
  ): Promise<object> {
    this.applied.push({ resource: kind, object, fieldManager });
    const error = this.applyErrors.shift();
    if (error !== undefined) throw error;
    return await Promise.resolve(object);
  }

  async get(): Promise<object> {
    this.readCount += 1;
    const read = this.reads.shift();
    if (read === undefined) throw new Error('An unexpected read');
    if (read instanceof Error) throw read;
    return await Promise.resolve(read);
  }

  /** For those who take the whole client. */
  asKubernetesClient(): KubernetesClient {
    return this as unknown as KubernetesClient;
  }
}

export const conflict = (): KubernetesError =>
  new KubernetesError('KUBERNETES_API', 'Cannot apply: 409 Conflict: changed', { status: 409, reason: 'Conflict' });
export const notFound = (): KubernetesError =>
  new KubernetesError('KUBERNETES_API', 'Cannot apply: 404 NotFound: gone', { status: 404, reason: 'NotFound' });
export const invalid = (): KubernetesError =>
  new KubernetesError('KUBERNETES_API', 'Cannot apply: 422 Invalid: no', { status: 422, reason: 'Invalid' });
export const unavailable = (): KubernetesError =>
  new KubernetesError('KUBERNETES_CONNECTION', 'Cannot apply: connection refused');
