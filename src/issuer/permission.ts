/** Waits for permission instead of running into refusals: whoever upgrades may not have granted yet what is new. */
import { type AccessReview, type ResourceAttributes, SELF_SUBJECT_ACCESS_REVIEWS } from '../api/index.ts';
import { isRetryable, type KubernetesClient } from '../kubernetes/index.ts';
import { type Clock, errorFields, type Logger } from '../platform/index.ts';

export interface PermissionDeps {
  readonly client: Pick<KubernetesClient, 'create'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How often it is asked again whether permission was granted, and how soon when the API server had trouble. */
const RECHECK_MS = 60_000;
const RETRY_MS = 5_000;

/** Waits until the API server permits all of it. What it waits for is logged once. @throws the signal's reason */
export async function untilPermitted(
  { client, clock, log }: PermissionDeps,
  wanted: readonly ResourceAttributes[],
  { signal, purpose }: { readonly signal: AbortSignal; readonly purpose: string },
): Promise<void> {
  let told = '';
  const warnOnce = (fields: object, message: string, what: string): void => {
    if (what !== told) log.warn({ purpose, ...fields }, message);
    told = what;
  };
  for (;;) {
    try {
      const missing = await findMissing(client, wanted, signal);
      if (missing.length === 0) break;
      warnOnce({ missing }, 'Permission is missing, going on without', missing.join());
      await clock.sleep(RECHECK_MS, { signal });
    } catch (error) {
      signal.throwIfAborted();
      warnOnce(errorFields(error), 'Cannot find out what is permitted, trying again', String(error));
      await clock.sleep(isRetryable(error) ? RETRY_MS : RECHECK_MS, { signal });
    }
  }
  if (told !== '') log.info({ purpose }, 'Permission is there');
}

async function findMissing(
  client: Pick<KubernetesClient, 'create'>,
  wanted: readonly ResourceAttributes[],
  signal: AbortSignal,
): Promise<string[]> {
  const missing: string[] = [];
  for (const resourceAttributes of wanted) {
    const review: AccessReview = { spec: { resourceAttributes } };
    const { status } = await client.create(SELF_SUBJECT_ACCESS_REVIEWS, review, { signal });
    if (status?.allowed !== true) missing.push(describe(resourceAttributes));
  }
  return missing;
}

function describe({ group, resource, subresource, verb }: ResourceAttributes): string {
  return `${verb} ${resource}.${group}${subresource === undefined ? '' : `/${subresource}`}`;
}
