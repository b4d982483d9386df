/**
 * Credential plugins of a kubeconfig (`users[].user.exec`): a program that prints an `ExecCredential`
 * (client-go `plugin/pkg/client/auth/exec`). We run it without a terminal and tell it so in `KUBERNETES_EXEC_INFO`.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Clock, parseTime, withTimeout } from '../platform/index.ts';
import type { FileOrText } from './cluster-config.ts';
import { KubernetesError, quote } from './errors.ts';

export interface ExecPlugin {
  readonly command: string;
  readonly args: readonly string[];
  /** The plugin's whole environment, but for `KUBERNETES_EXEC_INFO`. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  readonly installHint: string | undefined;
  /** What the plugin is told of the cluster; undefined when it did not ask (`provideClusterInfo`). */
  readonly cluster: { readonly server: string; readonly ca: FileOrText | undefined } | undefined;
}

export interface ExecCredential {
  readonly token?: string;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
  /** When to ask again, on the wall clock; undefined for never. */
  readonly expiresAtMs?: number;
}

const API_VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];
const PLUGIN_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 1 << 20;

/** @throws KubernetesError with code KUBERNETES_CONFIG */
export function parseExecPlugin(
  fields: Readonly<Record<string, unknown>>,
  context: {
    readonly folder: string;
    readonly server: string;
    readonly ca: FileOrText | undefined;
    readonly env: Readonly<Record<string, string | undefined>>;
  },
): ExecPlugin {
  const { command, apiVersion, args, env, installHint, interactiveMode, provideClusterInfo } = fields;
  if (typeof command !== 'string' || command === '') throw refuse('Cannot use exec plugin: it has no command');
  if (typeof apiVersion !== 'string' || !API_VERSIONS.includes(apiVersion)) {
    throw refuse(`Cannot use exec plugin ${quote(command)}: its apiVersion is none of ${API_VERSIONS.join(', ')}`);
  }
  if (interactiveMode === 'Always') {
    throw refuse(`Cannot use exec plugin ${quote(command)}: it needs a terminal (interactiveMode Always)`);
  }
  const extra = (Array.isArray(env) ? env : []) as { name: string; value: unknown }[];
  return {
    command: command.includes('/') ? resolve(context.folder, command) : command,
    args: (Array.isArray(args) ? args : []).map(String),
    env: {
      ...(Object.fromEntries(Object.entries(context.env).filter(([, value]) => value !== undefined)) as object),
      ...Object.fromEntries(extra.map(({ name, value }) => [name, String(value)])),
    },
    apiVersion,
    installHint: typeof installHint === 'string' ? installHint : undefined,
    cluster: provideClusterInfo === true ? { server: context.server, ca: context.ca } : undefined,
  };
}

/** @throws KubernetesError with code KUBERNETES_CREDENTIALS; the plugin's output is never part of it, its errors are. */
export async function runExecPlugin(clock: Clock, plugin: ExecPlugin, signal: AbortSignal): Promise<ExecCredential> {
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(await clusterInfo(plugin)) },
  };
  const env = { ...plugin.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) };
  const output = await withTimeout(clock, { timeoutMs: PLUGIN_TIMEOUT_MS, signal }, (signal) =>
    run(plugin, env, signal),
  );
  return parseCredential(plugin, output);
}

function run(plugin: ExecPlugin, env: Record<string, string>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env, signal, maxBuffer: MAX_OUTPUT_BYTES, encoding: 'utf8' as const };
    const child = execFile(plugin.command, plugin.args, options, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const missing = error.code === 'ENOENT';
      const hint = missing && plugin.installHint ? ` (${plugin.installHint.trim()})` : '';
      const why = missing ? 'no such program' : stderr.trim() === '' ? error.message : quote(stderr.trim());
      reject(fail(plugin, `${why}${hint}`));
    });
    child.stdin?.end();
  });
}

function parseCredential(plugin: ExecPlugin, output: string): ExecCredential {
  let status: Record<string, string | undefined>;
  try {
    const parsed = JSON.parse(output) as { apiVersion?: string; kind?: string; status?: typeof status };
    if (parsed.kind !== 'ExecCredential' || parsed.apiVersion !== plugin.apiVersion || parsed.status === undefined) {
      throw new SyntaxError('Not an ExecCredential');
    }
    status = parsed.status;
  } catch {
    // No cause: a parser's message quotes what it read, and that may be a token.
    throw fail(plugin, `it did not print an ExecCredential of ${plugin.apiVersion}`);
  }
  const { token, clientCertificateData: certificate, clientKeyData: key, expirationTimestamp } = status;
  if ((certificate === undefined) !== (key === undefined) || (token === undefined && certificate === undefined)) {
    throw fail(plugin, 'it printed neither a token nor a certificate with its key');
  }
  const expiresAtMs = parseTime(expirationTimestamp);
  return {
    ...(token === undefined ? {} : { token }),
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
  };
}

async function clusterInfo({ cluster }: ExecPlugin): Promise<object> {
  if (cluster === undefined) return {};
  const { server, ca } = cluster;
  if (ca === undefined) return { cluster: { server } };
  const pem = 'text' in ca ? ca.text : await readFile(ca.file, 'utf8');
  return { cluster: { server, 'certificate-authority-data': Buffer.from(pem).toString('base64') } };
}

function fail(plugin: ExecPlugin, why: string): KubernetesError {
  return new KubernetesError('KUBERNETES_CREDENTIALS', `Cannot run exec plugin ${quote(plugin.command)}: ${why}`);
}

function refuse(message: string): KubernetesError {
  return new KubernetesError('KUBERNETES_CONFIG', message);
}
