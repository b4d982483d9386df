// One `go` command in one of our modules. The environment of the build is set here and not taken from the machine,
// except for what leads to the network (proxies, checksum database) and Go's own caches.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { quoteLog, ServersError } from './errors.ts';
import { type Ending, spawnGuarded } from './guardian.ts';

export interface GoBuild {
  /** For messages: `kube-apiserver 1.36.3`. */
  readonly title: string;
  /** The folder with go.mod. */
  readonly moduleFolder: string;
  readonly package: string;
  readonly linkerFlags: string;
  /** GOTOOLCHAIN. */
  readonly toolchain: string;
}

export interface GoBuildPlaces {
  readonly output: string;
  /** Exists; takes what Go writes meanwhile. */
  readonly scratchFolder: string;
  readonly logFile: string;
  /** Where `go` is found, how it reaches the network, and where it keeps its caches. */
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/** The flags of every build, part of what a binary is made of. */
export const GO_FLAGS = '-mod=readonly -trimpath -buildvcs=false';

const NO_GO = `there is no \`go\` in PATH. Ways out:
  - install Go 1.26 or newer;
  - or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl, as setup-envtest lays it out:
    kube-controller-manager, multirootca, cfssl and cert-manager's controllers still need Go;
  - or copy the cache (see tools/servers/binaries.ts) from a machine of the same kind that has built them.`;

/**
 * Builds one program.
 * @throws ServersError SERVERS_NO_GO, SERVERS_BUILD_FAILED
 */
export async function goBuild(build: GoBuild, places: GoBuildPlaces): Promise<void> {
  const { env, signal, scratchFolder, logFile } = places;
  await assertGo(build, env);
  signal?.throwIfAborted();
  const go = spawnGuarded({
    folder: scratchFolder,
    logFile,
    cwd: build.moduleFolder,
    env: { ...environment(build, env), GOTMPDIR: scratchFolder },
    command: ['go', 'build', '-ldflags', build.linkerFlags, '-o', places.output, build.package],
    ending: 'group', // its compilers would go on without it
  });
  const ending = await endedOrAborted(go, signal);
  if (ending === 'exit code 0') return;
  throw new ServersError(
    'SERVERS_BUILD_FAILED',
    `Cannot build ${build.title}: go ended with ${ending}\n${quoteLog(logFile)}`,
  );
}

/** The folder of a module that `build` depends on, in Go's module cache. */
export async function findModule(build: GoBuild, module: string, env: NodeJS.ProcessEnv): Promise<string> {
  const options = { cwd: build.moduleFolder, env: environment(build, env) };
  const { stdout } = await promisify(execFile)('go', ['list', '-m', '-f', '{{.Dir}}', module], options);
  return stdout.trim();
}

async function assertGo(build: GoBuild, env: NodeJS.ProcessEnv): Promise<void> {
  try {
    await promisify(execFile)('go', ['env', 'GOVERSION'], { env: { ...env, GOTOOLCHAIN: 'local' } });
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const why = isMissing ? NO_GO : `\`go env\` fails: ${String(error)}`;
    throw new ServersError('SERVERS_NO_GO', `Cannot build ${build.title}: ${why}`, { cause: error });
  }
}

function environment({ toolchain }: GoBuild, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { GOOS: _os, GOARCH: _arch, ...inherited } = env; // the binaries are for this machine
  return { ...inherited, GOTOOLCHAIN: toolchain, GOFLAGS: GO_FLAGS, GOWORK: 'off', CGO_ENABLED: '0' };
}

async function endedOrAborted(go: ReturnType<typeof spawnGuarded>, signal: AbortSignal | undefined): Promise<Ending> {
  const abort = (): void => {
    void go.end('keep');
  };
  signal?.addEventListener('abort', abort);
  // The guardian does not keep the event loop alive, but a build that is awaited must.
  const alive = setInterval(() => {}, 60_000);
  try {
    const ending = await go.ended;
    signal?.throwIfAborted();
    return ending;
  } finally {
    clearInterval(alive);
    signal?.removeEventListener('abort', abort);
  }
}
