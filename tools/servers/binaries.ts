// Where each server's binary comes from: KUBEBUILDER_ASSETS if it is set, else a cache outside the checkout, filled
// by building from our pinned Go modules. The cache is keyed by what a binary is built from, so that another clone on
// the same machine builds nothing: ${XDG_CACHE_HOME:-~/.cache}/cfssl-issuer/servers/<name>-<version>-<key>/<name>.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

import { progress } from '../progress.ts';
import { acquireCacheLock } from './cache-lock.ts';
import { ServersError } from './errors.ts';
import { findModule, GO_FLAGS, type GoBuild, goBuild } from './go-build.ts';
import { spawnGuarded } from './guardian.ts';

interface Source {
  /** The folder beside this file with go.mod and go.sum. */
  readonly folder: 'etcd' | 'kubernetes' | 'cfssl' | 'cert-manager' | 'helm';
  readonly package: string;
  /** The module whose version in go.mod is the binary's. */
  readonly versionOf: string;
  readonly toolchain: string;
  /** Whether KUBEBUILDER_ASSETS has it. */
  readonly isAsset?: boolean;
}

const KUBERNETES = { folder: 'kubernetes', versionOf: 'k8s.io/kubernetes', toolchain: 'auto' } as const;
const CFSSL = { folder: 'cfssl', versionOf: 'github.com/cloudflare/cfssl', toolchain: 'go1.27.3' } as const;
const CERT_MANAGER_MODULE = 'github.com/cert-manager/cert-manager';
const GATEWAY_API_MODULE = 'sigs.k8s.io/gateway-api';

const SOURCES = {
  etcd: {
    folder: 'etcd',
    package: 'go.etcd.io/etcd/server/v3',
    versionOf: 'go.etcd.io/etcd/server/v3',
    toolchain: 'auto',
    isAsset: true,
  },
  'kube-apiserver': { ...KUBERNETES, package: 'k8s.io/kubernetes/cmd/kube-apiserver', isAsset: true },
  'kube-controller-manager': { ...KUBERNETES, package: 'k8s.io/kubernetes/cmd/kube-controller-manager' },
  kubectl: { ...KUBERNETES, package: 'k8s.io/kubernetes/cmd/kubectl', isAsset: true },
  multirootca: { ...CFSSL, package: 'github.com/cloudflare/cfssl/cmd/multirootca' },
  cfssl: { ...CFSSL, package: 'github.com/cloudflare/cfssl/cmd/cfssl' },
  'cert-manager-controllers': {
    folder: 'cert-manager',
    package: '.',
    versionOf: CERT_MANAGER_MODULE,
    toolchain: 'auto',
  },
  helm: {
    folder: 'helm',
    package: 'helm.sh/helm/v4/cmd/helm',
    versionOf: 'helm.sh/helm/v4',
    toolchain: 'auto',
  },
} as const satisfies Record<string, Source>;

export type BinaryName = keyof typeof SOURCES;

export const BINARY_NAMES = Object.keys(SOURCES) as BinaryName[];

export interface EnsureOptions {
  readonly signal?: AbortSignal | undefined;
  /** Default: this process's; KUBEBUILDER_ASSETS, XDG_CACHE_HOME and HOME are read. */
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * The path of a binary, built now unless it has been before.
 * @throws ServersError SERVERS_NO_GO, SERVERS_BUILD_FAILED, SERVERS_ASSETS_INCOMPLETE
 */
export async function ensureBinary(name: BinaryName, options: EnsureOptions = {}): Promise<string> {
  const asset = findAsset(name, options.env ?? process.env);
  return asset ?? join(await ensureEntry(name, options), name);
}

/** The folder with cert-manager's CRDs, as its module has them. */
export async function ensureCertManagerCrds(options: EnsureOptions = {}): Promise<string> {
  return join(await ensureEntry('cert-manager-controllers', options), 'crds');
}

/** The folder with the CRDs of the Gateway API, standard channel, of the version that cert-manager is built with. */
export async function ensureGatewayApiCrds(options: EnsureOptions = {}): Promise<string> {
  return join(await ensureEntry('cert-manager-controllers', options), 'gateway-api-crds');
}

/** The folder of the cache. An XDG_CACHE_HOME that is not absolute is to be ignored, says its specification. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  const base = env['XDG_CACHE_HOME'] ?? '';
  return join(isAbsolute(base) ? base : join(homedir(), '.cache'), 'cfssl-issuer', 'servers');
}

/** `kube-apiserver-1.36.3-0123456789ab`: equal for two checkouts exactly if the binary would be. */
export function entryName(name: BinaryName): string {
  const build = describeBuild(name);
  const hash = createHash('sha256');
  for (const part of [build.package, build.linkerFlags, build.toolchain, GO_FLAGS, process.platform, process.arch]) {
    hash.update(`${part}\0`);
  }
  const sources = readdirSync(build.moduleFolder).filter((file) => /\.(go|mod|sum)$/.test(file));
  for (const file of sources.sort()) {
    hash.update(`${file}\0`);
    hash.update(readFileSync(join(build.moduleFolder, file)));
  }
  return `${build.title.replace(' ', '-')}-${hash.digest('hex').slice(0, 12)}`;
}

function findAsset(name: BinaryName, env: NodeJS.ProcessEnv): string | undefined {
  const source: Source = SOURCES[name];
  const assets = env['KUBEBUILDER_ASSETS'] ?? '';
  if (source.isAsset !== true || assets === '') return undefined;
  const path = join(assets, name);
  if (existsSync(path)) return path;
  throw new ServersError(
    'SERVERS_ASSETS_INCOMPLETE',
    `Cannot find ${name} in ${assets}, which KUBEBUILDER_ASSETS names: put it there, or unset the variable to have it built`,
  );
}

async function ensureEntry(name: BinaryName, { signal, env = process.env }: EnsureOptions): Promise<string> {
  const cache = cacheFolder(env);
  const entry = join(cache, entryName(name));
  if (existsSync(entry)) return entry;
  mkdirSync(cache, { recursive: true });
  // One lock for all binaries: two builds at once take longer than one after the other.
  const lock = join(cache, 'lock');
  const release = await progress(`Waiting for another build to end before ${name}`, () =>
    acquireCacheLock(lock, { signal }),
  );
  try {
    if (!existsSync(entry)) await buildEntry(name, entry, { env, signal });
  } finally {
    release();
  }
  return entry;
}

async function buildEntry(
  name: BinaryName,
  entry: string,
  { env, signal }: { readonly env: NodeJS.ProcessEnv; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const build = describeBuild(name);
  const scratchFolder = `${entry}.building-${randomBytes(6).toString('hex')}`;
  const keeper = spawnGuarded({ folder: scratchFolder });
  try {
    const finished = join(scratchFolder, 'finished');
    mkdirSync(finished, { recursive: true });
    const places = { output: join(finished, name), scratchFolder, logFile: `${entry}.log`, env, signal };
    rmSync(places.logFile, { force: true });
    await progress(`Building ${build.title}`, () => goBuild(build, places));
    if (name === 'cert-manager-controllers') {
      const [certManager, gatewayApi] = await Promise.all(
        [CERT_MANAGER_MODULE, GATEWAY_API_MODULE].map((module) => findModule(build, module, env)),
      );
      copyFiles(join(certManager ?? '', 'deploy', 'crds'), join(finished, 'crds'));
      copyFiles(join(gatewayApi ?? '', 'config', 'crd', 'standard'), join(finished, 'gateway-api-crds'));
    }
    renameSync(finished, entry);
  } finally {
    await keeper.end('remove');
  }
}

function describeBuild(name: BinaryName): GoBuild {
  const source: Source = SOURCES[name];
  const moduleFolder = join(import.meta.dirname, source.folder);
  const version = readVersion(join(moduleFolder, 'go.mod'), source.versionOf);
  return {
    title: `${name} ${version}`,
    moduleFolder,
    package: source.package,
    linkerFlags: source.folder === 'kubernetes' ? `-s -w ${kubernetesVersionFlags(version)}` : '-s -w',
    toolchain: source.toolchain,
  };
}

function readVersion(goMod: string, module: string): string {
  const lines = readFileSync(goMod, 'utf8').split('\n');
  for (const line of lines) {
    const [path, version] = line
      .trim()
      .replace(/^require /, '')
      .split(' ');
    if (path === module && version?.startsWith('v')) return version.slice(1);
  }
  throw new Error(`Cannot find the version of ${module} in ${goMod}`);
}

// Without them the API server calls itself v0.0.0-master, and kubectl and clients judge it by that.
function kubernetesVersionFlags(version: string): string {
  const [major, minor] = version.split('.');
  const variables = { gitVersion: `v${version}`, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(variables).map(([key, value]) => `-X k8s.io/component-base/version.${key}=${value}`);
  return flags.join(' ');
}

// Not cpSync(): Go's module cache is read-only, and so would be the copies.
function copyFiles(from: string, to: string): void {
  mkdirSync(to);
  for (const file of readdirSync(from)) writeFileSync(join(to, file), readFileSync(join(from, file)));
}
