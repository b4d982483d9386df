/** The issuer as the kubelet would run it: by what the Deployment of a release says, as its ServiceAccount. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cluster } from '../../tools/cluster.ts';
import { type IssuerProcess, type IssuerProcessOptions, startIssuer } from '../../tools/issuer-process.ts';
import type { KubernetesAccess } from '../../tools/servers/index.ts';
import { DEPLOYMENTS, type Deployment, mountVolumes, serviceAccountKubeconfig } from './pods.ts';

const PROGRAM = join(import.meta.dirname, '../../dist/main.mjs');

export interface IssuerPod extends IssuerProcess {
  /** Waits for a line of the log, from the given one on, that has the text in it. */
  readonly waitForLog: (text: string, from?: number) => Promise<void>;
}

/** Starts it. Its flags, environment, files, namespace and token are those that its container would have. */
export async function startIssuerPod(
  { access, cluster }: { readonly access: KubernetesAccess; readonly cluster: Cluster },
  at: { readonly namespace: string; readonly name: string },
  options: Pick<IssuerProcessOptions, 'probe'> = {},
): Promise<IssuerPod> {
  const deployment = await cluster.client.get<Deployment>(DEPLOYMENTS, at);
  const { containers, serviceAccountName = 'default' } = deployment.spec.template.spec as {
    readonly serviceAccountName?: string;
  } & Deployment['spec']['template']['spec'];
  const [container] = containers;
  if (container === undefined) throw new Error('The Deployment has no container');
  const root = mkdtempSync(join(tmpdir(), 'issuer-pod-'));
  const remove = (): void => rmSync(root, { recursive: true, force: true });
  try {
    await mountVolumes(cluster, deployment, root);
    const account = { namespace: at.namespace, name: serviceAccountName };
    const kubeconfig = await serviceAccountKubeconfig(access, account, root);
    const mounted = (container.volumeMounts ?? []).map(({ mountPath }) => mountPath);
    const env = (container.env ?? []).map(({ name, value }) => {
      const isMounted = mounted.some((path) => value === path || value.startsWith(`${path}/`));
      return `${name}=${isMounted ? join(root, value) : value}`;
    });
    const issuer = await startIssuer({
      ...options,
      access: { kubeconfig },
      command: ['env', ...env, process.execPath, PROGRAM],
      clusterResourceNamespace: '', // The flag's default, which is the pod's own.
      flags: container.args,
    });
    const stop = async (): Promise<void> => {
      await issuer.stop();
      remove();
    };
    const waitForLog = (text: string, from = 0): Promise<void> => waitForLine(issuer, text, from);
    return { ...issuer, waitForLog, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    remove();
    throw error;
  }
}

async function waitForLine(issuer: IssuerProcess, text: string, from: number): Promise<void> {
  for (const endMs = performance.now() + 15_000; ; ) {
    const lines = issuer
      .readLog()
      .slice(from)
      .map((record) => JSON.stringify(record));
    if (lines.some((line) => line.includes(text))) return;
    if (performance.now() > endMs) throw new Error(`No line of the log has "${text}":\n${lines.slice(-20).join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
