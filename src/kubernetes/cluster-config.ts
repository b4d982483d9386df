/**
 * Where the API server is and how we prove who we are. Sources in the order of controller-runtime's `config.GetConfig`:
 * an explicit kubeconfig, `KUBECONFIG`, the files that a pod finds mounted, `~/.kube/config`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KubernetesError } from './errors.ts';
import type { ExecPlugin } from './exec-plugin.ts';
import { loadKubeconfig } from './kubeconfig.ts';

/** Something that lives in a file, which is read again when it may have changed, or is given once and for all. */
export type FileOrText = { readonly file: string } | { readonly text: string };

export type Authentication =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-file'; readonly file: string }
  | { readonly kind: 'exec'; readonly plugin: ExecPlugin };

export interface ClusterConfig {
  /** Where this came from, for log lines. */
  readonly source: string;
  /** Base URL of the API server, without a slash at its end. */
  readonly server: string;
  /** Whom to trust as API server; the system's roots when absent. */
  readonly ca?: FileOrText;
  readonly clientCertificate?: { readonly certificate: FileOrText; readonly key: FileOrText };
  /** The name to expect in the server's certificate, if it is not the host's. */
  readonly serverName?: string;
  /** Accept any certificate. Only ever set by a kubeconfig that says so. */
  readonly skipTlsVerify?: boolean;
  readonly authentication: Authentication;
  /** The pod's namespace, or that of the kubeconfig's context, if known. */
  readonly namespace?: string;
}

export interface LoadClusterConfigOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `--kubeconfig` says; wins over everything else. */
  readonly kubeconfigPath?: string | undefined;
  /** Context to use instead of the kubeconfig's current one. */
  readonly context?: string | undefined;
  /** Where a pod finds its credentials. */
  readonly serviceAccountFolder?: string;
}

const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** @throws KubernetesError with code KUBERNETES_CONFIG; its message says which file or variable to mend. */
export async function loadClusterConfig(options: LoadClusterConfigOptions): Promise<ClusterConfig> {
  const { env, kubeconfigPath, context } = options;
  if (kubeconfigPath) return await loadKubeconfig([kubeconfigPath], { env, context });
  const list = (env['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '');
  if (list.length > 0) return await loadKubeconfig(list, { env, context });
  if (env['KUBERNETES_SERVICE_HOST'] && env['KUBERNETES_SERVICE_PORT']) {
    return await loadInCluster(env, options.serviceAccountFolder ?? SERVICE_ACCOUNT_FOLDER);
  }
  if (env['HOME']) return await loadKubeconfig([join(env['HOME'], '.kube', 'config')], { env, context });
  throw new KubernetesError(
    'KUBERNETES_CONFIG',
    'Cannot find the API server: not in a pod, and neither --kubeconfig, KUBECONFIG nor HOME is set',
  );
}

async function loadInCluster(env: LoadClusterConfigOptions['env'], folder: string): Promise<ClusterConfig> {
  const host = env['KUBERNETES_SERVICE_HOST'] ?? '';
  const tokenFile = join(folder, 'token');
  const caFile = join(folder, 'ca.crt');
  for (const file of [tokenFile, caFile]) {
    await readFile(file).catch((cause: unknown) => {
      throw new KubernetesError(
        'KUBERNETES_CONFIG',
        `Cannot read ${file}: the pod needs a mounted service account token`,
        { cause },
      );
    });
  }
  const namespace = await readFile(join(folder, 'namespace'), 'utf8').then(
    (text) => text.trim(),
    () => '', // A pod may mount the token alone; the namespace is then told by a flag.
  );
  return {
    source: 'in-cluster',
    server: `https://${host.includes(':') ? `[${host}]` : host}:${env['KUBERNETES_SERVICE_PORT']}`,
    ca: { file: caFile },
    authentication: { kind: 'token-file', file: tokenFile },
    ...(namespace === '' ? {} : { namespace }),
  };
}
