// The software bill of materials of a bundle: what esbuild really put into the file, not what is installed. The names
// come from esbuild's metafile; versions, licences and hashes from the lock file. No time and no chance go in: the same
// bundle has the same bill.

import { createHash } from 'node:crypto';
import type { Metafile } from 'esbuild';

/** The part of `package-lock.json` that is read. */
export interface Lock {
  readonly packages: Readonly<Record<string, { version?: string; license?: string; integrity?: string }>>;
}

/** An npm package of which at least one byte is in the bundle. */
export interface BundledPackage {
  /** Its folder, which is also its key in the lock file: `node_modules/tsyringe/node_modules/tslib`. */
  readonly folder: string;
  /** With its scope: `@peculiar/x509`. */
  readonly name: string;
  readonly version: string;
  /** SPDX identifier or expression. */
  readonly licence: string;
  /** SHA-512 of the package's archive, hexadecimal. */
  readonly sha512: string;
}

/** The program that the bundle is. */
export interface BundledProgram {
  readonly name: string;
  readonly version: string;
  readonly licence: string;
  /** SHA-256 of the file, hexadecimal. */
  readonly sha256: string;
}

/**
 * The packages in a bundle, in the order of their folders.
 * @throws Error when the lock file does not say version, licence and hash of one
 */
export function bundledPackages(metafile: Metafile, lock: Lock): BundledPackage[] {
  const folders = new Set<string>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [file, { bytesInOutput }] of Object.entries(inputs)) {
      const folder = packageFolder(file);
      if (folder !== undefined && bytesInOutput > 0) folders.add(folder);
    }
  }
  return [...folders].sort().map((folder) => {
    const { version, license: licence, integrity } = lock.packages[folder] ?? {};
    const sha512 = /^sha512-(?<base64>[\w+/=]+)$/.exec(integrity ?? '')?.groups?.['base64'];
    if (version === undefined || licence === undefined || sha512 === undefined)
      throw new Error(`Cannot describe ${folder}: the lock file lacks its version, licence or SHA-512`);
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    return { folder, name, version, licence, sha512: Buffer.from(sha512, 'base64').toString('hex') };
  });
}

/** The folder of the package that a file belongs to; none for our own files. */
function packageFolder(file: string): string | undefined {
  return /^.*\bnode_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0];
}

/** A CycloneDX 1.6 bill of materials, as the text of a JSON file. */
export function cycloneDx(program: BundledProgram, packages: readonly BundledPackage[], metafile: Metafile): string {
  const root = `${program.name}@${program.version}`;
  const components = new Map(packages.map((found) => [purl(found), toComponent(found)]));
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      lifecycles: [{ phase: 'build' }],
      component: {
        type: 'application',
        'bom-ref': root,
        name: program.name,
        version: program.version,
        hashes: [{ alg: 'SHA-256', content: program.sha256 }],
        licenses: licences(program.licence),
      },
    },
    components: [...components.values()],
    dependencies: dependencies(root, packages, metafile),
  };
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(bill))}`;
  return `${JSON.stringify({ ...bill, serialNumber }, null, 2)}\n`;
}

function purl({ name, version }: BundledPackage): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

function toComponent(found: BundledPackage): object {
  const [base = '', group] = found.name.split('/').reverse();
  return {
    type: 'library',
    'bom-ref': purl(found),
    ...(group !== undefined && { group }),
    name: base,
    version: found.version,
    purl: purl(found),
    hashes: [{ alg: 'SHA-512', content: found.sha512 }],
    licenses: licences(found.licence),
  };
}

function licences(spdx: string): readonly object[] {
  return /^[\w.+-]+$/.test(spdx) ? [{ license: { id: spdx } }] : [{ expression: spdx }];
}

/** Which package imports which, as far as both are in the bundle. */
function dependencies(root: string, packages: readonly BundledPackage[], metafile: Metafile): readonly object[] {
  const refs = new Map(packages.map((found) => [found.folder, purl(found)]));
  const edges = new Map([root, ...refs.values()].map((ref) => [ref, new Set<string>()]));
  for (const [file, { imports }] of Object.entries(metafile.inputs)) {
    const folder = packageFolder(file);
    const from = folder === undefined ? root : refs.get(folder);
    for (const { path } of imports) {
      const to = refs.get(packageFolder(path) ?? '');
      if (from !== undefined && to !== undefined && from !== to) edges.get(from)?.add(to);
    }
  }
  return [...edges].map(([ref, on]) => ({ ref, dependsOn: [...on].sort() }));
}

/** A UUID of version 8, whose bits are the maker's own: here those of the content's hash. */
function uuidOf(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  const parts = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, variant + hex.slice(17, 20)];
  return [...parts, hex.slice(20, 32)].join('-');
}
