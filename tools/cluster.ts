// What the demo and the tests do in a cluster: create and read objects, and wait for what others make of them.

import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiResource, CERTIFICATE_REQUESTS, type Condition } from '../src/api/index.ts';
import {
  type ClusterConfig,
  createKubernetesClient,
  isNotFound,
  type KubernetesClient,
  type KubernetesObject,
  loadClusterConfig,
} from '../src/kubernetes/index.ts';
import { createLogger, formatTime, Registry, systemClock } from '../src/platform/index.ts';
import type { KubernetesAccess } from './servers/index.ts';

/** A parsed manifest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

export interface ObjectWithConditions extends KubernetesObject {
  readonly status?: { readonly conditions?: readonly Condition[]; readonly [field: string]: unknown };
}

export interface Cluster {
  readonly client: KubernetesClient;
  create(manifest: Manifest): Promise<void>;
  /** Waits until the object is there and `isDone` says yes. Fails after the time with what it saw last. */
  waitFor<T extends KubernetesObject>(at: At, isDone: (object: T) => boolean, options?: WaitOptions): Promise<T>;
  /** Waits until there is no such object any more. */
  waitUntilGone(at: At, options?: WaitOptions): Promise<void>;
  close(): Promise<void>;
}

export interface At {
  readonly resource: ApiResource;
  readonly namespace?: string;
  readonly name: string;
}

export interface WaitOptions {
  /** Default: 30 s. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal | undefined;
}

const POLL_MS = 50;

const RESOURCES: Readonly<Record<string, ApiResource>> = Object.fromEntries(
  [
    ['v1', 'Namespace', 'namespaces', false],
    ['v1', 'Secret', 'secrets', true],
    ['v1', 'ConfigMap', 'configmaps', true],
    ['apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'customresourcedefinitions', false],
    ['cert-manager.io/v1', 'Certificate', 'certificates', true],
    ['cert-manager.io/v1', 'CertificateRequest', 'certificaterequests', true],
    ['networking.k8s.io/v1', 'Ingress', 'ingresses', true],
    ['gateway.networking.k8s.io/v1', 'Gateway', 'gateways', true],
    ['cfssl-issuer.wikimedia.org/v1alpha1', 'Issuer', 'issuers', true],
    ['cfssl-issuer.wikimedia.org/v1alpha1', 'ClusterIssuer', 'clusterissuers', false],
  ].map(([apiVersion, kind, plural, namespaced]) => {
    const [version = '', group = ''] = String(apiVersion).split('/').reverse();
    return [`${kind}.${group}`, { group, version, kind, plural, namespaced } as ApiResource];
  }),
);

/** The resource of a manifest. @throws Error for kinds that neither demo nor tests use */
export function resourceOf({ apiVersion, kind }: Pick<Manifest, 'apiVersion' | 'kind'>): ApiResource {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
  const resource = RESOURCES[`${kind}.${group}`];
  if (resource === undefined) throw new Error(`Cannot handle ${kind} of ${apiVersion}: unknown here`);
  return resource;
}

/** Works in a cluster with the given access; says nothing but errors. */
export function openCluster(access: KubernetesAccess): Cluster {
  return open(configOf(access));
}

/** Works in the cluster of a kubeconfig. */
export async function openClusterOf(kubeconfigPath: string): Promise<Cluster> {
  return open(await loadClusterConfig({ env: process.env, kubeconfigPath }));
}

function open(config: ClusterConfig): Cluster {
  const log = createLogger({ level: 'error', encoding: 'console', write: (line) => process.stderr.write(line) });
  const client = createKubernetesClient({ clock: systemClock, log, registry: new Registry() }, config);
  return {
    client,
    create: async (manifest) => {
      await client.create(resourceOf(manifest), manifest);
    },
    waitFor: (at, isDone, options) => waitFor(client, at, isDone, options),
    waitUntilGone: (at, options) => waitUntilGone(client, at, options),
    close: () => client.close(),
  };
}

function configOf(access: KubernetesAccess) {
  return {
    source: access.kubeconfig,
    server: access.url,
    ca: { text: access.caPem },
    clientCertificate: { certificate: { text: access.clientCertificatePem }, key: { text: access.clientKeyPem } },
    authentication: { kind: 'none' },
  } as const;
}

async function waitUntilGone(client: KubernetesClient, at: At, options?: WaitOptions): Promise<void> {
  const { resource, namespace, name } = at;
  for (
    const endMs = performance.now() + (options?.withinMs ?? 30_000);
    performance.now() < endMs;
    await sleep(POLL_MS)
  ) {
    try {
      await client.get(resource, { namespace, name, signal: options?.signal });
    } catch (error) {
      if (isNotFound(error)) return;
      throw error;
    }
  }
  throw new Error(`${resource.kind} ${namespace ?? ''}/${name} is still there`);
}

async function waitFor<T extends KubernetesObject>(
  client: KubernetesClient,
  { resource, namespace, name }: At,
  isDone: (object: T) => boolean,
  { withinMs = 30_000, signal }: WaitOptions = {},
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  let last: T | undefined;
  for (;;) {
    try {
      last = await client.get<T>(resource, { namespace, name, signal });
      if (isDone(last)) return last;
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    if (performance.now() > deadlineMs) {
      const seen = last === undefined ? 'it does not exist' : JSON.stringify((last as { status?: unknown }).status);
      throw new Error(
        `${resource.kind} ${namespace ?? ''}/${name} is not as wanted after ${withinMs / 1000} s: ${seen}`,
      );
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}

/** Whether the object's Ready condition has that status. */
export function isReady(object: ObjectWithConditions, status = 'True'): boolean {
  return object.status?.conditions?.find(({ type }) => type === 'Ready')?.status === status;
}

/** Approves a CertificateRequest, as cert-manager's own approver or a policy does. */
export async function approve(cluster: Cluster, { metadata }: Manifest): Promise<void> {
  await judge(cluster, metadata, ['Approved']);
}

/** Sets conditions of an approver. */
export async function judge(
  { client }: Cluster,
  { name, namespace }: Manifest['metadata'],
  types: readonly ('Approved' | 'Denied')[],
): Promise<void> {
  const lastTransitionTime = formatTime(Date.now());
  const conditions = types.map((type) => ({
    type,
    status: 'True',
    reason: 'Judged',
    message: 'Judged by hand',
    lastTransitionTime,
  }));
  await client.applyStatus(
    CERTIFICATE_REQUESTS,
    { metadata: { name, namespace }, status: { conditions } },
    { fieldManager: 'approver' },
  );
}
