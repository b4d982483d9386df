// Bundles each program into one file that runs from an empty folder: dist/main.mjs, the issuer, and
// dist/simple-cfssl.mjs, the throw-away CA; beside each, as *.cdx.json, the bill of what is in it. The same sources
// give the same bytes wherever and whenever.

import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { noticesComment } from './notices.ts';
import { bundledPackages, cycloneDx, type Lock } from './sbom.ts';

const root = join(import.meta.dirname, '..');
const readJson = async (file: string): Promise<unknown> => JSON.parse(await readFile(join(root, file), 'utf8'));
const { version, license: licence } = (await readJson('package.json')) as { version: string; license: string };
const lock = (await readJson('package-lock.json')) as Lock;
const programs = [
  { name: 'cfssl-issuer', entry: 'src/main.ts', file: 'main' },
  { name: 'simple-cfssl', entry: 'simple-cfssl/main.ts', file: 'simple-cfssl' },
] as const;

await mkdir(join(root, 'dist'), { recursive: true });
for (const { name, entry, file } of programs) {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    preserveSymlinks: true, // so that packages are found in the lock file where node_modules is a link, too
    entryPoints: [entry],
    outfile: `dist/${file}.mjs`,
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // Stack traces name our functions and classes without a source map, so identifiers stay as they are. An uncaught
    // error shows the line that it comes from, which would be 64 KiB in a log if lines were not broken.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 160,
    // An identifier that is there twice is renamed; what it says its name is stays.
    keepNames: true,
    legalComments: 'none', // all licences follow at the end, also those that no comment names
    logLevel: 'warning',
    define: { 'process.env.CFSSL_ISSUER_VERSION': JSON.stringify(version) },
    // CommonJS packages in the bundle ask for Node's own modules with require().
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  const packages = bundledPackages(metafile, lock);
  const licensed = [
    { folder: root, name, version, licence },
    ...packages.map((found) => ({ ...found, folder: join(root, found.folder) })),
  ];
  const text = `${outputFiles[0]?.text}${noticesComment(licensed)}`;
  const sha256 = createHash('sha256').update(text).digest('hex');
  await writeFile(join(root, 'dist', `${file}.mjs`), text);
  const bill = cycloneDx({ name, version, licence, sha256 }, packages, metafile);
  await writeFile(join(root, 'dist', `${file}.cdx.json`), bill);
  console.log(`dist/${file}.mjs ${version}, ${Math.round(text.length / 1024)} KiB, ${packages.length} packages`);
}
