/**
 * The images, built by `tools/image.ts` as `make docker-build` does, and run as uid 65532 on a read-only file system.
 * The bases are this machine's Node, since nothing is pulled; the Dockerfile is the one that users build.
 */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import { startInFolder, startServerProcess } from '../tools/servers/index.ts';
import { testCertificates } from './support/certificate-tests.ts';
import { type Environment, startEnvironment } from './support/environment.ts';
import { createContainer, type ImageContainer, inspectProcess } from './support/image-container.ts';
import {
  type Bases,
  type ImageConfig,
  type ImageStore,
  makeBases,
  openImageStore,
  whyNoImages,
} from './support/image-store.ts';

const execute = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');
const BUILT_AT = 1_700_000_000;
const SOURCE_URL = 'https://example.com/cfssl-issuer';
const [OWN, OTHER] = process.arch === 'arm64' ? (['arm64', 'amd64'] as const) : (['amd64', 'arm64'] as const);
const PROGRAMS = [
  { program: 'issuer', node: ['--max-semi-space-size=2'], file: 'cfssl-issuer.mjs', bill: 'main.cdx.json' },
  { program: 'simple-cfssl', node: [], file: 'simple-cfssl.mjs', bill: 'simple-cfssl.cdx.json' },
] as const;
type Program = (typeof PROGRAMS)[number]['program'];

const reason = whyNoImages();
if (reason === undefined) describe('images', testImages);
else if (process.env['CI'] || process.env['IMAGES'] === 'required')
  test('images', () => assert.fail(`Cannot test the images: ${reason}`));
else test('images', { skip: `THE IMAGES ARE NOT TESTED: ${reason}` }, () => {});

function testImages(): void {
  const cleanup = new AsyncDisposableStack();
  after(() => cleanup.disposeAsync());
  let first: Build;
  let second: Build;
  before(async () => {
    [first, second] = await Promise.all([build(cleanup, 'checkout'), build(cleanup, 'copy')]);
  });

  for (const { program, node, file, bill } of PROGRAMS) {
    test(`${program}: its base and one layer with one file of at most 3 MB, which its bill of materials names`, async () => {
      const { store, bases, folder, images } = first;
      const before = filesIn(await mount(store, await store.inList(bases.runtime, OWN)));
      const root = await mount(store, images[program]);
      assert.deepEqual(
        [...filesIn(root)].filter((path) => !before.has(path)),
        [file],
      );
      const { size, mode, uid } = statSync(join(root, file));
      assert.ok(size <= 3e6, `${size} bytes`);
      assert.deepEqual([mode & 0o7777, uid], [0o644, 0], 'its user can read it and not write it');
      const { metadata } = JSON.parse(readFileSync(join(folder, 'dist', bill), 'utf8')) as Bill;
      const sha256 = sha256Of(join(root, file));
      assert.deepEqual(metadata.component.hashes, [{ alg: 'SHA-256', content: sha256 }]);
      const bundle = join(ROOT, 'dist', bill.replace('.cdx.json', '.mjs'));
      assert.equal(sha256, sha256Of(bundle), '`make build` gives the same file, in another folder');
    });

    test(`${program}: says who it is and runs as nobody's user`, async () => {
      const { store, folder, images } = first;
      const { created, architecture, config } = await store.inspect(images[program]);
      const revision = git(folder, 'rev-parse', 'HEAD');
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
      const labels = Object.entries(config.Labels ?? {}).filter(([name]) =>
        name.startsWith('org.opencontainers.image.'),
      );
      const { description, ...rest } = Object.fromEntries(labels.map(([name, value]) => [name.slice(25), value]));
      assert.match(description ?? '', /CFSSL/);
      assert.deepEqual(rest, {
        title: basename(file, '.mjs'),
        licenses: 'Apache-2.0',
        version,
        revision,
        created: '2023-11-14T22:13:20Z',
        source: SOURCE_URL,
        documentation: SOURCE_URL,
      });
      assert.equal(Date.parse(created), BUILT_AT * 1000);
      assert.deepEqual(
        { architecture, user: config.User, entrypoint: config.Entrypoint, command: config.Cmd ?? [] },
        { architecture: OWN, user: '65532:65532', entrypoint: ['node', ...node, `/${file}`], command: [] },
      );
    });

    test(`${program}: another build elsewhere gives a layer of the same digest`, async () => {
      const [one, other] = await Promise.all(
        [first, second].map(({ store, images }) => store.inspect(images[program])),
      );
      assert.equal(ownLayer(one), ownLayer(other));
    });

    test(`${program}: for ${OTHER} it is the same layer on that platform's base`, async () => {
      const { store, bases, lists } = first;
      const [own, other, base] = await Promise.all(
        [
          [lists[program], OWN],
          [lists[program], OTHER],
          [bases.runtime, OTHER],
        ].map(async ([list = '', architecture = '']) => store.inspect(await store.inList(list, architecture))),
      );
      assert.equal(other?.architecture, OTHER);
      assert.equal(ownLayer(other), ownLayer(own));
      assert.deepEqual(other?.rootfs.diff_ids.slice(0, -1), base?.rootfs.diff_ids);
    });
  }

  describe('the issuer in its image', () => {
    let container: ImageContainer;
    let issuer: IssuerProcess;
    let environment: Promise<Environment>;
    before(async () => {
      const { store, images } = first;
      const kubeconfig = join(store.folder, 'kubeconfig');
      environment = startEnvironment('cert-manager', async (options) => {
        copyFileSync(options.access.kubeconfig, kubeconfig);
        chmodSync(kubeconfig, 0o444); // the control plane's is its owner's alone
        container = await createContainer(store, images.issuer, [`${kubeconfig}:/kubeconfig`]);
        const { command } = container;
        issuer = await startIssuer({ ...options, command, access: { kubeconfig: '/kubeconfig' } });
        return issuer;
      });
      await environment;
    });

    testCertificates(() => environment);

    test('is an ordinary user without capabilities on a read-only file system', () => {
      const id = '65532\t65532\t65532\t65532';
      assert.deepEqual(inspectProcess(issuer.pid), { uid: id, gid: id, capabilities: '0000000000000000', root: 'ro' });
    });

    test('ends in order on SIGTERM', async () => {
      container.thaw();
      process.kill(issuer.pid, 'SIGTERM');
      assert.equal(await issuer.ended, 'exit code 0');
      assert.equal(issuer.readLog().at(-1)?.['msg'], 'Stopped');
    });
  });

  test('simple-cfssl in its image makes a CA, answers, and ends in order on SIGTERM', async () => {
    const { store, images } = first;
    const container = await createContainer(store, images['simple-cfssl']);
    await using server = await startInFolder('simple-cfssl-image', async (folder, undo) => {
      const log = (): string => readFileSync(join(folder.path, 'simple-cfssl.log'), 'utf8');
      const child = await startServerProcess({
        name: 'simple-cfssl',
        folder,
        command: [...container.command, '-a=127.0.0.1:0'],
        isReady: async () => log().includes('-----END CERTIFICATE-----'),
      });
      undo.defer(() => child.stop());
      return { ended: child.ended, log };
    });
    const [, url = ''] = /^url\s+(\S+)$/m.exec(server.log()) ?? [];
    const [, label = ''] = /^label\s+(\S+)$/m.exec(server.log()) ?? [];
    const answer = await fetch(`${url}/api/v1/cfssl/info`, { method: 'POST', body: JSON.stringify({ label }) });
    const { result } = (await answer.json()) as { result: { certificate: string } };
    assert.match(result.certificate, /^-----BEGIN CERTIFICATE-----/);
    const pid = findProcess('/simple-cfssl.mjs', container.root);
    assert.equal(inspectProcess(pid).root, 'ro');
    container.thaw();
    process.kill(pid, 'SIGTERM');
    assert.equal(await server.ended, 'exit code 0');
  });
}

interface Bill {
  readonly metadata: { readonly component: { readonly hashes: readonly object[] } };
}

interface Build {
  readonly store: ImageStore;
  readonly bases: Bases;
  readonly folder: string;
  /** Images for this machine. */
  readonly images: Readonly<Record<Program, string>>;
  /** Manifest lists; of the checkout alone. */
  readonly lists: Readonly<Record<Program, string>>;
}

/**
 * Builds both images from the sources in a folder of its own. A `checkout` is what a release builds from, for both
 * platforms; a `copy` has no git, and is built for this machine.
 */
async function build(cleanup: AsyncDisposableStack, kind: 'checkout' | 'copy'): Promise<Build> {
  const store = cleanup.use(openImageStore());
  const folder = join(store.folder, kind);
  const bases = await makeBases(store);
  const isLeftOut = (path: string): boolean => /^(?:node_modules|dist|\.git)$/.test(basename(path));
  cpSync(ROOT, folder, { recursive: true, filter: (path) => !isLeftOut(path) });
  if (kind === 'checkout') {
    git(folder, 'init', '--quiet');
    git(folder, 'add', '--all');
    git(folder, 'commit', '--quiet', '--message=x', `--date=@${BUILT_AT}`);
  }
  const list = (program: Program): string => `localhost/${program}:test`;
  for (const { program } of PROGRAMS) {
    await execute(process.execPath, [join(folder, 'tools/image.ts'), program], {
      maxBuffer: 2 ** 26,
      env: {
        ...process.env,
        ENGINE: store.command.join(' '),
        IMG: list(program),
        BUILD_IMAGE: bases.build,
        BASE_IMAGE: bases.runtime,
        SOURCE_URL,
        ARGS: ['--isolation=chroot', ...npmSecret()].join(' '),
        PLATFORMS: kind === 'checkout' ? 'linux/amd64,linux/arm64' : '',
        SOURCE_DATE_EPOCH: kind === 'checkout' ? '' : String(BUILT_AT),
      },
    });
  }
  const image = (program: Program): string | Promise<string> =>
    kind === 'checkout' ? store.inList(list(program), OWN) : list(program);
  return {
    store,
    bases,
    folder,
    lists: { issuer: list('issuer'), 'simple-cfssl': list('simple-cfssl') },
    images: { issuer: await image('issuer'), 'simple-cfssl': await image('simple-cfssl') },
  };
}

/** The user's own configuration of npm, if there is one: it may name the registry. */
function npmSecret(): string[] {
  const file = execFileSync('npm', ['config', 'get', 'userconfig'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
  return existsSync(file) ? [`--secret=id=npmrc,src=${file}`] : [];
}

function git(folder: string, ...command: readonly string[]): string {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
  const env = { ...process.env, GIT_COMMITTER_DATE: `@${BUILT_AT}` };
  return execFileSync('git', [...identity, ...command], { cwd: folder, encoding: 'utf8', env }).trim();
}

async function mount(store: ImageStore, image: string): Promise<string> {
  return await store.buildah('mount', await store.buildah('from', '--pull-never', image));
}

function filesIn(root: string): Set<string> {
  return new Set(globSync('**', { cwd: root, exclude: (path) => path === '.' }));
}

function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

function ownLayer(image: ImageConfig | undefined): string | undefined {
  return image?.rootfs.diff_ids.at(-1);
}

/** The process of a container that runs a file. */
function findProcess(file: string, root: string): number {
  for (const folder of globSync('/proc/[0-9]*')) {
    if (!existsSync(`${folder}/cmdline`)) continue; // it has ended
    const words = readFileSync(`${folder}/cmdline`, 'utf8').split('\0');
    if (basename(words[0] ?? '') === 'node' && words[1] === file) return Number(basename(folder));
  }
  throw new Error(`No process of ${root} runs ${file}`);
}
