// Installs CustomResourceDefinitions and waits until the API server serves them.

import { setTimeout as sleep } from 'node:timers/promises';

import { ServersError } from './errors.ts';
import { type HttpsAccess, requestHttps } from './https-request.ts';

interface Crd {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export interface ApplyCrdsOptions {
  /** Default: 30 s. */
  readonly servedWithinMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const COLLECTION = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const POLL_MS = 50;

/**
 * Creates or updates `crds` (parsed manifests) by server-side apply, and waits until all are Established.
 * @throws ServersError SERVERS_SETUP_FAILED
 */
export async function applyCrds(access: HttpsAccess, crds: readonly unknown[], options: ApplyCrdsOptions = {}) {
  const { servedWithinMs = 30_000, signal } = options;
  const names = await Promise.all(crds.map((crd) => applyCrd(access, crd as Crd, signal)));
  const deadlineMs = performance.now() + servedWithinMs;
  for (const name of names) {
    while (!(await isEstablished(access, name, signal))) {
      if (performance.now() > deadlineMs) {
        throw new ServersError('SERVERS_SETUP_FAILED', `Cannot install CRD ${name}: not Established in time`);
      }
      await sleep(POLL_MS);
    }
  }
}

async function applyCrd(access: HttpsAccess, crd: Crd, signal: AbortSignal | undefined): Promise<string> {
  const { name } = crd.metadata;
  const answer = await requestHttps(access, {
    method: 'PATCH',
    path: `${COLLECTION}/${name}?fieldManager=cfssl-issuer-tools&force=true`,
    contentType: 'application/apply-patch+yaml',
    body: JSON.stringify(crd),
    signal,
  });
  if (answer.status < 300) return name;
  const said = `${answer.status} ${answer.body.slice(0, 500)}`;
  throw new ServersError('SERVERS_SETUP_FAILED', `Cannot install CRD ${name}: the API server answered ${said}`);
}

async function isEstablished(access: HttpsAccess, name: string, signal: AbortSignal | undefined): Promise<boolean> {
  const answer = await requestHttps(access, { path: `${COLLECTION}/${name}`, signal });
  const conditions = (JSON.parse(answer.body) as Crd).status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === 'Established' && status === 'True');
}
