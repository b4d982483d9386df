/**
 * Pods without nodes: what a Deployment on the API server says about its pod, done by hand. The test plays the controllers
 * that would tell of the rollout, and the kubelet that would mount files.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isNotFound, type KubernetesObject, type Resource } from '../../src/kubernetes/index.ts';
import { type Cluster, resourceOf } from '../../tools/cluster.ts';
import { type KubernetesAccess, type Stoppable, startInFolder, startServerProcess } from '../../tools/servers/index.ts';
import { kubectl } from './config-maps.ts';

/** What the image of the throw-away CA runs. */
const PROGRAM = join(import.meta.dirname, '../../dist/simple-cfssl.mjs');

export const DEPLOYMENTS: Resource = {
  group: 'apps',
  version: 'v1',
  plural: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
}

export interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly optional?: boolean };
  readonly configMap?: { readonly name: string };
}

export interface Deployment extends KubernetesObject {
  readonly spec: {
    readonly replicas: number;
    readonly template: {
      readonly metadata: object;
      readonly spec: { readonly containers: readonly Container[]; readonly volumes?: readonly Volume[] };
    };
  };
}

/** Tells of every Deployment in the namespace that it runs, until the signal aborts: what `kubectl rollout` waits for. */
export async function playRollouts(
  { client }: Cluster,
  at: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { metadata, spec } = await client.get<Deployment>(DEPLOYMENTS, { ...at, signal });
      const replicas = spec.replicas;
      const status = {
        observedGeneration: metadata.generation,
        replicas,
        updatedReplicas: replicas,
        readyReplicas: replicas,
        availableReplicas: replicas,
      };
      await client.applyStatus(DEPLOYMENTS, { metadata: at, status }, { fieldManager: 'test', signal });
    } catch (error) {
      if (!isNotFound(error) && !signal.aborted) throw error;
    }
    await sleep(50);
  }
}

/** Writes what the container's mounts would show below `root`, as the kubelet does below `/`. */
export async function mountVolumes({ client }: Cluster, deployment: Deployment, root: string): Promise<void> {
  const { namespace } = deployment.metadata;
  const { containers, volumes = [] } = deployment.spec.template.spec;
  for (const { name, mountPath } of containers.flatMap(({ volumeMounts = [] }) => volumeMounts)) {
    const { secret, configMap } = volumes.find((volume) => volume.name === name) ?? {};
    const folder = join(root, mountPath);
    mkdirSync(folder, { recursive: true });
    const [kind, source, encoding] =
      secret === undefined
        ? (['ConfigMap', configMap?.name ?? '', 'utf8'] as const)
        : (['Secret', secret.secretName, 'base64'] as const);
    const resource = resourceOf({ apiVersion: 'v1', kind });
    type Data = KubernetesObject & { readonly data?: Readonly<Record<string, string>> };
    const { data = {} } = await client.get<Data>(resource, { namespace, name: source }).catch((error: unknown) => {
      if (secret?.optional === true && isNotFound(error)) return {} as Data; // an empty folder
      throw error;
    });
    for (const [file, text] of Object.entries(data)) writeFileSync(join(folder, file), Buffer.from(text, encoding));
  }
}

/** A kubeconfig with a token of the ServiceAccount, as its pod would have one; `folder` is where it is written. */
export async function serviceAccountKubeconfig(
  access: KubernetesAccess,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  folder: string,
): Promise<string> {
  const token = await kubectl(access, '-n', namespace, 'create', 'token', name);
  const path = join(folder, `${name}.kubeconfig`);
  const ca = Buffer.from(access.caPem).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: access.url, 'certificate-authority-data': ca } }],
    users: [{ name, user: { token: token.trim() } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: name, namespace } }],
    'current-context': 'test',
  };
  writeFileSync(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}

/**
 * Starts what the pod of config/simple-cfssl runs: the container's words, its mounts below `root` instead of `/`, and
 * `listen` as address.
 */
export async function startSimpleCfsslPod(
  cluster: Cluster,
  deployment: Deployment,
  { root, listen }: { readonly root: string; readonly listen: string },
): Promise<Stoppable & { readonly url: string }> {
  const [container] = deployment.spec.template.spec.containers;
  await mountVolumes(cluster, deployment, root);
  const below = (text: string): string => text.replaceAll('/cfssl/', `${join(root, 'cfssl')}/`);
  const conf = join(root, 'cfssl/config/multiroot.conf');
  writeFileSync(conf, below(readFileSync(conf, 'utf8')));
  const words = (container?.args ?? []).map((word) => (word.startsWith('-a=') ? `-a=${listen}` : below(word)));
  return await startInFolder('simple-cfssl', async (folder, undo) => {
    const log = (): string => readFileSync(join(folder.path, 'simple-cfssl.log'), 'utf8');
    const server = await startServerProcess({
      name: 'simple-cfssl',
      folder,
      command: [process.execPath, PROGRAM, ...words],
      isReady: () => Promise.resolve(log().includes('Now listening')),
    });
    undo.defer(() => server.stop());
    return { url: `https://${listen}` };
  });
}
