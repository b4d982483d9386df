// Our issuer as a process of its own, the way a user runs it: for the demo, the tests and the measurements.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { type KubernetesAccess, type Stoppable, startInFolder, startServerProcess } from './servers/index.ts';

export interface IssuerProcessOptions {
  readonly access: Pick<KubernetesAccess, 'kubeconfig'>;
  /** What runs the issuer, before its flags. Default: Node with the bundle, `dist/main.mjs`. */
  readonly command?: readonly [string, ...string[]];
  /** Further flags. */
  readonly flags?: readonly string[];
  /** Default: `cfssl-issuer-system`. */
  readonly clusterResourceNamespace?: string;
  /** The probe that says it is ready. Default: `/readyz`. */
  readonly probe?: '/readyz' | '/healthz';
  readonly signal?: AbortSignal;
}

export interface IssuerProcess extends Stoppable {
  readonly pid: number;
  /** How the process ended, once it has. */
  readonly ended: Promise<string>;
  readonly logFile: string;
  readonly healthUrl: string;
  readonly metricsUrl: string;
  /** The log's records so far. */
  readLog(): Record<string, unknown>[];
}

const ROOT = join(import.meta.dirname, '..');

/** Starts the issuer on ports of its own choice; ready when its probe says so. */
export function startIssuer(options: IssuerProcessOptions): Promise<IssuerProcess> {
  const { access, command = [process.execPath, join(ROOT, 'dist/main.mjs')], flags = [], signal } = options;
  return startInFolder('issuer', async (folder, undo) => {
    const logFile = join(folder.path, 'issuer.log');
    const readLog = (): Record<string, unknown>[] => parseLines(readFileSync(logFile, 'utf8'));
    const child = await startServerProcess({
      name: 'issuer',
      folder,
      signal,
      command: [
        ...command,
        `--kubeconfig=${access.kubeconfig}`,
        `--cluster-resource-namespace=${options.clusterResourceNamespace ?? 'cfssl-issuer-system'}`,
        '--health-addr=127.0.0.1:0',
        '--metrics-addr=127.0.0.1:0',
        ...flags,
      ],
      isReady: async (probe) => {
        const url = urlOf(readLog(), 'health');
        return url !== undefined && (await fetch(`${url}${options.probe ?? '/readyz'}`, { signal: probe })).ok;
      },
    });
    undo.defer(() => child.stop());
    const [healthUrl, metricsUrl] = [urlOf(readLog(), 'health'), urlOf(readLog(), 'metrics')];
    const pid = Number(readLog().find((record) => record['msg'] === 'Starting')?.['pid']);
    return { pid, ended: child.ended, logFile, readLog, healthUrl: healthUrl ?? '', metricsUrl: metricsUrl ?? '' };
  });
}

function urlOf(log: readonly Record<string, unknown>[], serves: string): string | undefined {
  const line = log.find((record) => record['msg'] === 'Listening' && record['serves'] === serves);
  return line === undefined ? undefined : `http://${String(line['host'])}:${String(line['port'])}`;
}

/** The last line may be unfinished. */
function parseLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .slice(0, -1)
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
