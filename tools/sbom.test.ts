import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { build, type Metafile } from 'esbuild';
import { bundledPackages, cycloneDx, type Lock } from './sbom.ts';

const ROOT = join(import.meta.dirname, '..');
const LOCK = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
const PROGRAM = { name: 'program', version: '1.2.3', licence: 'Apache-2.0', sha256: 'ab'.repeat(32) };
const SHA512 = Buffer.alloc(64, 1);
const INTEGRITY = `sha512-${SHA512.toString('base64')}`;

/** A bundle of these files; `[imports]` of each. Files of no bytes were read and left out. */
function metafile(files: Readonly<Record<string, { bytes: number; imports?: readonly string[] }>>): Metafile {
  const entries = Object.entries(files);
  const inputs = entries.map(([file, { bytes, imports = [] }]) => [
    file,
    { bytes, imports: imports.map((path) => ({ path, kind: 'import-statement' })) },
  ]);
  const parts = entries.map(([file, { bytes }]) => [file, { bytesInOutput: bytes }]);
  const output = { bytes: 0, imports: [], exports: [], inputs: Object.fromEntries(parts) };
  return { inputs: Object.fromEntries(inputs), outputs: { 'dist/a.mjs': output } };
}

function lock(...folders: readonly string[]): Lock {
  const entry = { version: '2.0.0', license: 'MIT', integrity: INTEGRITY };
  return { packages: Object.fromEntries(folders.map((folder) => [folder, entry])) };
}

describe('bundledPackages()', () => {
  test('names what has bytes in the bundle, each once, nested ones and scopes too', () => {
    const found = bundledPackages(
      metafile({
        'src/main.ts': { bytes: 10 },
        'node_modules/b/node_modules/@s/a/lib/x.js': { bytes: 1 },
        'node_modules/b/index.js': { bytes: 1 },
        'node_modules/b/lib/other.js': { bytes: 1 },
        'node_modules/shaken/index.js': { bytes: 0 },
      }),
      lock('node_modules/b', 'node_modules/b/node_modules/@s/a', 'node_modules/shaken', 'node_modules/installed'),
    );
    const rest = { version: '2.0.0', licence: 'MIT', sha512: SHA512.toString('hex') };
    assert.deepEqual(found, [
      { folder: 'node_modules/b', name: 'b', ...rest },
      { folder: 'node_modules/b/node_modules/@s/a', name: '@s/a', ...rest },
    ]);
  });

  for (const field of ['version', 'license', 'integrity'] as const) {
    test(`refuses a package without ${field}`, () => {
      const { packages } = lock('node_modules/b');
      const { [field]: _, ...entry } = packages['node_modules/b'] ?? {};
      assert.throws(
        () =>
          bundledPackages(metafile({ 'node_modules/b/x.js': { bytes: 1 } }), { packages: { 'node_modules/b': entry } }),
        /node_modules\/b/,
      );
    });
  }
});

describe('cycloneDx()', () => {
  const bundle = metafile({
    'src/main.ts': { bytes: 1, imports: ['src/other.ts', 'node_modules/b/x.js', 'node:fs'] },
    'src/other.ts': { bytes: 1 },
    'node_modules/b/x.js': { bytes: 1, imports: ['node_modules/b/y.js', 'node_modules/@s/a/z.js'] },
    'node_modules/b/y.js': { bytes: 1 },
    'node_modules/@s/a/z.js': { bytes: 1 },
  });
  const packages = bundledPackages(bundle, lock('node_modules/b', 'node_modules/@s/a'));

  test('tells of each package what it is and what it imports', () => {
    const { components, dependencies, metadata } = JSON.parse(cycloneDx(PROGRAM, packages, bundle));
    assert.deepEqual(components[0], {
      type: 'library',
      'bom-ref': 'pkg:npm/%40s/a@2.0.0',
      group: '@s',
      name: 'a',
      version: '2.0.0',
      purl: 'pkg:npm/%40s/a@2.0.0',
      hashes: [{ alg: 'SHA-512', content: SHA512.toString('hex') }],
      licenses: [{ license: { id: 'MIT' } }],
    });
    assert.deepEqual(dependencies, [
      { ref: 'program@1.2.3', dependsOn: ['pkg:npm/b@2.0.0'] },
      { ref: 'pkg:npm/%40s/a@2.0.0', dependsOn: [] },
      { ref: 'pkg:npm/b@2.0.0', dependsOn: ['pkg:npm/%40s/a@2.0.0'] },
    ]);
    assert.equal(metadata.component.name, 'program');
    assert.deepEqual(metadata.component.hashes, [{ alg: 'SHA-256', content: PROGRAM.sha256 }]);
  });

  test('is the same for the same bundle, and has another serial number for another', () => {
    const serial = (text: string): string => (JSON.parse(text) as { serialNumber: string }).serialNumber;
    const text = cycloneDx(PROGRAM, packages, bundle);
    assert.equal(cycloneDx(PROGRAM, packages, bundle), text);
    assert.match(serial(text), /^urn:uuid:[\da-f]{8}-[\da-f]{4}-8[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    assert.notEqual(serial(cycloneDx({ ...PROGRAM, version: '1.2.4' }, packages, bundle)), serial(text));
  });

  test('an SPDX expression is no identifier', () => {
    const [first] = packages;
    assert.ok(first !== undefined);
    const { components } = JSON.parse(cycloneDx(PROGRAM, [{ ...first, licence: '(MIT OR CC0-1.0)' }], bundle));
    assert.deepEqual(components[0].licenses, [{ expression: '(MIT OR CC0-1.0)' }]);
  });
});

test('what is bundled of the issuer are its dependencies, with the versions of the lock file', async () => {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/main.ts'],
    outfile: 'dist/main.mjs',
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
  });
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const found = Object.fromEntries(bundledPackages(metafile, LOCK).map(({ name, version }) => [name, version]));
  assert.deepEqual(Object.fromEntries(Object.keys(dependencies).map((name) => [name, found[name]])), dependencies);
  assert.equal(found['typescript'], undefined);
});
