/**
 * Kubeconfig files, for development and tests: the subset of client-go's `clientcmd` that we can honour. Files are merged
 * as there: the first to set a value wins, names that do not exist are skipped when several are listed, paths are
 * relative to their file. A setting that we do not support in the chosen cluster or user is an error, never ignored.
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { Authentication, ClusterConfig, FileOrText } from './cluster-config.ts';
import { KubernetesError, quote } from './errors.ts';
import { parseExecPlugin } from './exec-plugin.ts';

type Fields = Readonly<Record<string, unknown>>;
/** A named entry, with the folder that its relative paths start from. */
type Entries = Map<string, { readonly fields: Fields; readonly folder: string }>;

interface Merged {
  readonly clusters: Entries;
  readonly users: Entries;
  readonly contexts: Entries;
  currentContext: string | undefined;
}

export interface KubeconfigOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly context?: string | undefined;
}

const CLUSTER_FIELDS = [
  'server',
  'certificate-authority',
  'certificate-authority-data',
  'insecure-skip-tls-verify',
  'tls-server-name',
  'disable-compression',
  'extensions',
];
const USER_FIELDS = [
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
  'token',
  'tokenFile',
  'exec',
  'extensions',
];

/** @throws KubernetesError with code KUBERNETES_CONFIG */
export async function loadKubeconfig(paths: readonly string[], options: KubeconfigOptions): Promise<ClusterConfig> {
  const merged = await mergeFiles(paths);
  const shown = paths.join(':');
  const contextName = options.context ?? merged.currentContext;
  if (contextName === undefined) throw refuse(`Cannot use kubeconfig ${shown}: it has no current-context`);
  const context = find(merged.contexts, contextName, 'context', shown);
  const clusterName = text(context.fields, 'cluster') ?? '';
  const cluster = find(merged.clusters, clusterName, 'cluster', shown);
  const userName = text(context.fields, 'user');
  const user = userName === undefined ? undefined : find(merged.users, userName, 'user', shown);
  refuseUnknown(cluster.fields, CLUSTER_FIELDS, `cluster ${quote(clusterName)}`);
  if (user !== undefined) refuseUnknown(user.fields, USER_FIELDS, `user ${quote(userName ?? '')}`);

  const server = parseServer(text(cluster.fields, 'server'), clusterName);
  const ca = fileOrData(cluster, 'certificate-authority');
  const certificate = user && fileOrData(user, 'client-certificate');
  const key = user && fileOrData(user, 'client-key');
  if ((certificate === undefined) !== (key === undefined)) {
    throw refuse(`Cannot use user ${quote(userName ?? '')}: client-certificate and client-key go together`);
  }
  const serverName = text(cluster.fields, 'tls-server-name');
  const namespace = text(context.fields, 'namespace');
  return {
    source: `${shown} (context ${contextName})`,
    server,
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(cluster.fields['insecure-skip-tls-verify'] === true ? { skipTlsVerify: true } : {}),
    authentication: user === undefined ? { kind: 'none' } : parseAuthentication(user, { server, ca, env: options.env }),
    ...(namespace === undefined ? {} : { namespace }),
  };
}

async function mergeFiles(paths: readonly string[]): Promise<Merged> {
  const merged: Merged = { clusters: new Map(), users: new Map(), contexts: new Map(), currentContext: undefined };
  let found = 0;
  for (const path of paths) {
    let content: string;
    try {
      content = await readFile(path, 'utf8');
    } catch (cause) {
      if (paths.length > 1 && (cause as NodeJS.ErrnoException).code === 'ENOENT') continue;
      throw refuse(`Cannot read kubeconfig ${path}`, cause);
    }
    found++;
    const file = parseFile(path, content);
    const folder = dirname(resolve(path));
    addEntries(merged.clusters, file['clusters'], 'cluster', folder);
    addEntries(merged.users, file['users'], 'user', folder);
    addEntries(merged.contexts, file['contexts'], 'context', folder);
    merged.currentContext ??= text(file, 'current-context');
  }
  if (found === 0) throw refuse(`Cannot read kubeconfig: none of ${paths.join(', ')} exists`);
  return merged;
}

function parseFile(path: string, content: string): Fields {
  let file: unknown;
  try {
    file = parse(content);
  } catch (cause) {
    throw refuse(`Cannot parse kubeconfig ${path}: it is not YAML`, cause);
  }
  if (!isFields(file)) throw refuse(`Cannot parse kubeconfig ${path}: it is not a mapping`);
  return file;
}

function addEntries(into: Entries, list: unknown, field: string, folder: string): void {
  if (!Array.isArray(list)) return;
  for (const entry of list as unknown[]) {
    if (!isFields(entry)) continue;
    const name = text(entry, 'name');
    const fields = entry[field];
    if (name !== undefined && isFields(fields) && !into.has(name)) into.set(name, { fields, folder });
  }
}

function find(entries: Entries, name: string, what: string, shown: string): { fields: Fields; folder: string } {
  const entry = entries.get(name);
  if (entry === undefined) throw refuse(`Cannot use kubeconfig ${shown}: it has no ${what} ${quote(name)}`);
  return entry;
}

function refuseUnknown(fields: Fields, known: readonly string[], where: string): void {
  const unknown = Object.keys(fields).filter((name) => !known.includes(name) && fields[name] !== '');
  if (unknown.length > 0) throw refuse(`Cannot use ${where}: ${unknown.join(', ')} is not supported`);
}

function parseServer(server: string | undefined, cluster: string): string {
  if (server === undefined) throw refuse(`Cannot use cluster ${quote(cluster)}: it has no server`);
  const withScheme = server.includes('://') ? server : `http://${server}`;
  if (!URL.canParse(withScheme) || !/^https?:\/\//.test(withScheme)) {
    throw refuse(`Cannot use cluster ${quote(cluster)}: its server is not an http or https URL`);
  }
  return withScheme.replace(/\/+$/, '');
}

function parseAuthentication(
  user: { fields: Fields; folder: string },
  { server, ca, env }: { server: string; ca: FileOrText | undefined; env: KubeconfigOptions['env'] },
): Authentication {
  const { fields, folder } = user;
  const tokenFile = text(fields, 'tokenFile');
  if (tokenFile !== undefined) return { kind: 'token-file', file: resolve(folder, tokenFile) };
  const token = text(fields, 'token');
  if (token !== undefined) return { kind: 'token', token };
  const exec = fields['exec'];
  if (exec === undefined || exec === null) return { kind: 'none' };
  if (!isFields(exec)) throw refuse('Cannot use exec plugin: it is not a mapping');
  return { kind: 'exec', plugin: parseExecPlugin(exec, { folder, server, ca, env }) };
}

/** A setting that comes as a path, or inline as base64 under the name with `-data`, which wins. */
function fileOrData(entry: { fields: Fields; folder: string }, name: string): FileOrText | undefined {
  const data = text(entry.fields, `${name}-data`);
  if (data !== undefined) return { text: Buffer.from(data, 'base64').toString('utf8') };
  const file = text(entry.fields, name);
  return file === undefined ? undefined : { file: resolve(entry.folder, file) };
}

/** The field as text; undefined when absent or empty, as Go's zero value. */
function text(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function refuse(message: string, cause?: unknown): KubernetesError {
  return new KubernetesError('KUBERNETES_CONFIG', message, { cause });
}
