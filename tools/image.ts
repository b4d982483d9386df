// `make docker-build`: builds an image with the container engine that is there, and writes the bill of materials of
// what is in it to dist/. Only Node's own modules are needed. What can be set comes as variables of the environment,
// which is how make hands on `make docker-build IMG=…`; docs/images.md describes them.

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';

type Program = 'issuer' | 'simple-cfssl';
type EngineKind = 'docker' | 'podman' | 'buildah';

/** A container engine, and the words that call it: `sudo podman`. */
interface Engine {
  readonly kind: EngineKind;
  readonly command: readonly [string, ...string[]];
}

const ROOT = join(import.meta.dirname, '..');
const IMAGE_NAMES: Readonly<Record<Program, string>> = { issuer: 'cfssl-issuer', 'simple-cfssl': 'simple-cfssl' };
/** Commands that fail where the engine cannot build: docker without a daemon, or without buildx. */
const PROBES: Readonly<Record<EngineKind, readonly string[]>> = {
  docker: ['version', 'buildx version'],
  podman: ['info'],
  buildah: ['info'],
};
const ENGINES = Object.keys(PROBES) as EngineKind[];

class ImageError extends Error {
  override readonly name = 'ImageError';
}

function build(program: Program): void {
  const { env } = process;
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const engine = findEngine(env['ENGINE'] ?? '');
  const tag = env['IMG'] || `${IMAGE_NAMES[program]}:${version}`;
  const epoch = Number(env['SOURCE_DATE_EPOCH'] || git('log', '-1', '--format=%ct') || 0);
  if (!Number.isSafeInteger(epoch)) throw new ImageError(`SOURCE_DATE_EPOCH is not a time in seconds`);
  const common = [
    ...timeFlags(engine.kind, epoch),
    ...stageFlags(engine.kind),
    ...baseFlags(env),
    ...words(env['ARGS']),
  ];
  // The same build stage for both: the second call takes it from the engine's cache.
  run(engine, [...common, '--target=sbom', '--output=type=local,dest=dist', '.']);
  const labels = labelFlags({ version, epoch, source: env['SOURCE_URL'] ?? '' });
  const platforms = (env['PLATFORMS'] ?? '').split(',').filter((name) => name !== '');
  if (engine.kind !== 'docker') forgetList(engine, tag);
  const output = words(env['OUTPUT']);
  // Without a word docker would keep the result in its build cache alone.
  if (output.length === 0 && engine.kind === 'docker') output.push('--load');
  run(engine, [...common, `--target=${program}`, ...labels, ...tagFlags(engine.kind, tag, platforms), ...output, '.']);
  console.log(`${tag}, built with ${engine.kind}; its bill of materials: dist/${sbomOf(program)}`);
}

function sbomOf(program: Program): string {
  return `${program === 'issuer' ? 'main' : program}.cdx.json`;
}

function words(text: string | undefined): string[] {
  return (text ?? '').split(/\s+/).filter((word) => word !== '');
}

/** @throws ImageError when none works */
function findEngine(wanted: string): Engine {
  const [first, ...rest] = words(wanted);
  if (first !== undefined) {
    const kind = [first, ...rest].map((word) => basename(word) as EngineKind).find((name) => ENGINES.includes(name));
    if (kind === undefined) throw new ImageError(`ENGINE names none of ${ENGINES.join(', ')}: ${wanted}`);
    return { kind, command: [first, ...rest] };
  }
  const failures = [];
  for (const kind of ENGINES) {
    const answers = PROBES[kind].map((probe) => spawnSync(kind, words(probe), { encoding: 'utf8' }));
    const failed = answers.find(({ status }) => status !== 0);
    if (failed === undefined) return { kind, command: [kind] };
    failures.push(`  ${kind}: ${failed.error === undefined ? failed.stderr.trim().split('\n')[0] : 'not installed'}`);
  }
  throw new ImageError(`Cannot build an image: no container engine works here\n${failures.join('\n')}`);
}

/**
 * What makes a second build give the same bytes. BuildKit takes the image's times from the argument, and the file's
 * from the build stage; podman and buildah set both.
 */
function timeFlags(kind: EngineKind, epoch: number): string[] {
  return [kind === 'docker' ? `--build-arg=SOURCE_DATE_EPOCH=${epoch}` : `--timestamp=${epoch}`];
}

/** What BuildKit does by itself. */
function stageFlags(kind: EngineKind): string[] {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  return kind === 'docker' ? [] : ['--layers', `--build-arg=BUILDPLATFORM=linux/${architecture}`];
}

function baseFlags(env: NodeJS.ProcessEnv): string[] {
  return ['BUILD_IMAGE', 'BASE_IMAGE'].flatMap((name) => (env[name] ? [`--build-arg=${name}=${env[name]}`] : []));
}

function labelFlags({ version, epoch, source }: { version: string; epoch: number; source: string }): string[] {
  const revision = git('rev-parse', 'HEAD');
  const isChanged = revision !== '' && git('status', '--porcelain') !== '';
  const labels = {
    version,
    created: new Date(epoch * 1000).toISOString().replace('.000', ''),
    revision: isChanged ? `${revision}-dirty` : revision,
    source,
    documentation: source,
  };
  return Object.entries(labels).flatMap(([name, value]) =>
    value === '' ? [] : [`--label=org.opencontainers.image.${name}=${value}`],
  );
}

function tagFlags(kind: EngineKind, tag: string, platforms: readonly string[]): string[] {
  if (platforms.length === 0) return [`--tag=${tag}`];
  // podman and buildah collect images of several platforms in a manifest list, which then carries the name.
  const isList = kind !== 'docker' && platforms.length > 1;
  return [`--platform=${platforms.join(',')}`, `--${isList ? 'manifest' : 'tag'}=${tag}`];
}

/** A manifest list would keep the images of earlier builds. There need be none. */
function forgetList({ command: [program, ...before] }: Engine, tag: string): void {
  spawnSync(program, [...before, 'manifest', 'rm', tag]);
}

/** What git says; nothing without git or outside a checkout. */
function git(...command: readonly string[]): string {
  const { status, stdout } = spawnSync('git', command, { cwd: ROOT, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : '';
}

function run({ kind, command: [program, ...before] }: Engine, flags: readonly string[]): void {
  const verb = kind === 'docker' ? ['buildx', 'build'] : ['build'];
  // Newer buildahs read this too, and then refuse --timestamp beside it.
  const { SOURCE_DATE_EPOCH: _, ...env } = process.env;
  try {
    execFileSync(program, [...before, ...verb, ...flags], { cwd: ROOT, stdio: 'inherit', env });
  } catch (error) {
    throw new ImageError(`Cannot build the image: ${program} failed, see above`, { cause: error });
  }
}

const [program = ''] = process.argv.slice(2);
try {
  if (program !== 'issuer' && program !== 'simple-cfssl') throw new ImageError('Usage: image.ts issuer|simple-cfssl');
  build(program);
} catch (error) {
  if (!(error instanceof ImageError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
