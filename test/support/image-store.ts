/**
 * Images of a test's own: a buildah that keeps everything in a temporary folder, and bases made of this machine's Node,
 * since nothing is pulled. What is built is run without a container runtime: `buildah run --isolation chroot`.
 */
import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Why images cannot be built and run here; undefined when they can. */
export function whyNoImages(): string | undefined {
  if (findProgram('buildah') === undefined) return 'buildah is not installed';
  if (process.getuid?.() !== 0)
    return 'buildah mounts images, which needs root (or `buildah unshare make test-images`)';
  return undefined;
}

function findProgram(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** What an image says about itself, as far as the tests ask. */
export interface ImageConfig {
  readonly created: string;
  readonly architecture: string;
  readonly config: {
    readonly User?: string;
    readonly Entrypoint?: readonly string[];
    readonly Cmd?: readonly string[];
    readonly Env?: readonly string[];
    readonly Labels?: Readonly<Record<string, string>>;
  };
  /** Digests of the layers as they are on disk, the base's first. */
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

export interface ImageStore extends AsyncDisposable {
  readonly folder: string;
  /** The words that call this store's buildah. */
  readonly command: readonly [string, ...string[]];
  /** Calls buildah. @returns what it prints, without the line's end */
  buildah(...words: readonly string[]): Promise<string>;
  inspect(image: string): Promise<ImageConfig>;
  /** The image for a platform in a manifest list. */
  inList(list: string, architecture: string): Promise<string>;
}

/** An empty store. On disposal its containers are unmounted and all of it is removed. */
export function openImageStore(): ImageStore {
  const folder = mkdtempSync(join(tmpdir(), 'cfssl-issuer-images-'));
  const command = ['buildah', '--root', join(folder, 'root'), '--runroot', join(folder, 'run')] as const;
  const [program, ...before] = command;
  const buildah = async (...words: readonly string[]): Promise<string> => {
    const { stdout } = await run(program, [...before, ...words], { maxBuffer: 2 ** 26 });
    return stdout.trim();
  };
  const inspect = async (image: string): Promise<ImageConfig> => {
    const { OCIv1 } = JSON.parse(await buildah('inspect', '--type=image', image)) as { OCIv1: ImageConfig };
    return OCIv1;
  };
  return {
    folder,
    command,
    buildah,
    inspect,
    inList: async (list, architecture) => {
      const { manifests } = JSON.parse(await buildah('manifest', 'inspect', list)) as {
        manifests: { digest: string; platform: { architecture: string } }[];
      };
      const found = manifests.filter((manifest) => manifest.platform.architecture === architecture);
      if (found.length !== 1) throw new Error(`${list} holds ${found.length} images for ${architecture}`);
      return `${list.replace(/:[^:/]*$/, '')}@${found[0]?.digest}`;
    },
    [Symbol.asyncDispose]: async () => {
      await buildah('rm', '--all');
      // The overlay driver mounts its own folder on itself.
      await run('umount', [join(folder, 'root/overlay')]).catch(() => undefined);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export interface Bases {
  /** Node, npm and a shell, for the build stage. */
  readonly build: string;
  /** Laid out like distroless' Node: a list of an image for this machine and one for another architecture. */
  readonly runtime: string;
}

/** The other architecture's base holds no Node: nothing of that image is ever run. */
export async function makeBases(store: ImageStore): Promise<Bases> {
  const bases = { build: 'localhost/build:test', runtime: 'localhost/runtime:test' };
  const tools = ['sh', 'touch'].map((name) => [`/bin/${name}`, findProgram(name)] as const);
  const npm = dirname(dirname(realpathSync(findProgram('npm') ?? '')));
  const shim = '#!/bin/sh\nexec node /usr/lib/node_modules/npm/bin/npm-cli.js "$@"\n';
  const trust = process.env['NODE_EXTRA_CA_CERTS'];
  await makeImage(store, bases.build, trust ? ['--env', 'NODE_EXTRA_CA_CERTS=/ca.pem'] : [], (root) => {
    copyPrograms(root, [['/usr/bin/node', process.execPath], ...tools]);
    cpSync(npm, join(root, 'usr/lib/node_modules/npm'), { recursive: true });
    writeFileSync(join(root, 'usr/bin/npm'), shim, { mode: 0o755 });
    if (trust) copyFileSync(trust, join(root, 'ca.pem'));
    for (const folder of ['tmp', 'root']) mkdirSync(join(root, folder));
  });
  const settings = ['--entrypoint', '["/nodejs/bin/node"]', '--cmd', '--help', '--env', 'PATH=/usr/bin:/bin'];
  const own = await makeImage(store, 'localhost/runtime-own:test', settings, (root) => {
    copyPrograms(root, [['/nodejs/bin/node', process.execPath]]);
  });
  const other = await makeImage(
    store,
    'localhost/runtime-other:test',
    [...settings, '--arch', process.arch === 'arm64' ? 'amd64' : 'arm64'],
    (root) => writeFileSync(join(root, 'README'), 'Another architecture\n'),
  );
  await store.buildah('manifest', 'create', bases.runtime);
  for (const image of [own, other]) await store.buildah('manifest', 'add', bases.runtime, image);
  return bases;
}

async function makeImage(
  store: ImageStore,
  name: string,
  settings: readonly string[],
  fill: (root: string) => void,
): Promise<string> {
  const container = await store.buildah('from', 'scratch');
  fill(await store.buildah('mount', container));
  await store.buildah('config', ...settings, container);
  await store.buildah('commit', '--quiet', container, name);
  await store.buildah('rm', container);
  return name;
}

/** Copies programs with the shared libraries that they ask for. */
function copyPrograms(root: string, programs: readonly (readonly [to: string, from: string | undefined])[]): void {
  for (const [to, from] of programs) {
    if (from === undefined) throw new Error(`Cannot make a base: there is no ${to} here`);
    copyTo(join(root, to), from);
    for (const library of execFileSync('ldd', [from], { encoding: 'utf8' }).match(/\/\S+(?= \()/g) ?? []) {
      copyTo(join(root, library), library);
    }
  }
}

function copyTo(to: string, from: string): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
}
