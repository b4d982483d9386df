// Bundles each program into one file that runs from an empty folder: dist/main.mjs, the issuer, and
// dist/simple-cfssl.mjs, the throw-away CA.

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
const programs = { 'main.mjs': 'src/main.ts', 'simple-cfssl.mjs': 'simple-cfssl/main.ts' } as const;

for (const [file, entry] of Object.entries(programs)) {
  const outfile = join(root, 'dist', file);
  await build({
    entryPoints: [join(root, entry)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minify: true,
    // A stack trace names our functions, and an error's class survives.
    keepNames: true,
    legalComments: 'none',
    logLevel: 'warning',
    define: { 'process.env.CFSSL_ISSUER_VERSION': JSON.stringify(version) },
    // CommonJS packages in the bundle ask for Node's own modules with require().
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  console.log(`dist/${file} ${version}, ${Math.round((await stat(outfile)).size / 1024)} KiB`);
}
