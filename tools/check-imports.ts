/**
 * Holds the house's walls: which room may import which, and that rooms meet at their doors (`index.ts`) only.
 * The rules are those of docs/architecture.md. The linter can forbid single paths but not "anything but the door".
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Room → rooms whose door it may use. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'src/x509': [],
  'src/platform': [],
  'src/api': [],
  'src/cfssl': ['src/x509', 'src/platform'],
  'src/kubernetes': ['src/platform'],
  'src/issuer': ['src/api', 'src/cfssl', 'src/x509', 'src/kubernetes', 'src/platform'],
  'src/commands': ['src/api', 'src/cfssl', 'src/x509', 'src/kubernetes', 'src/platform', 'src/issuer'],
  'simple-cfssl': ['src/x509', 'src/cfssl'],
};

/** Packages that only one room may use: each foreign subject has one home. `node:` is free everywhere. */
const packages: Readonly<Record<string, readonly string[]>> = {
  undici: ['src/cfssl', 'src/kubernetes'],
  pino: ['src/platform'],
  'prom-client': ['src/platform'],
  yaml: ['src/kubernetes', 'src/commands'],
  zod: ['src/api'],
};

function roomOf(path: string): string | undefined {
  return Object.keys(allowed).find((room) => path.startsWith(`${room}/`));
}

/** Tests and, in a room's folder `testing/`, what only its tests use. */
function isForTests(path: string): boolean {
  return path.endsWith('.test.ts') || path.includes('/testing/');
}

function checkImport(file: string, room: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) {
    const homes = packages[specifier.split('/')[0] ?? ''];
    return homes === undefined || homes.includes(room) ? undefined : `may not import the package ${specifier}`;
  }
  const target = relative(root, join(root, dirname(file), specifier));
  const targetRoom = roomOf(target);
  if (isForTests(target)) return `may not import ${target}, which is for tests`;
  if (targetRoom === room) return undefined;
  if (targetRoom === undefined) return `may not import ${target}, which is in no room`;
  if (allowed[room]?.includes(targetRoom) !== true) return `may not import ${targetRoom}`;
  return target === `${targetRoom}/index.ts` ? undefined : `must use the door ${targetRoom}/index.ts, not ${target}`;
}

const problems: string[] = [];
for (const file of globSync('{src,simple-cfssl}/**/*.ts', { cwd: root })) {
  // src/main.ts picks a command; tests, and what only tests use, may reach for doubles and for what they test.
  if (file === 'src/main.ts' || isForTests(file)) continue;
  const room = roomOf(file);
  if (room === undefined) {
    problems.push(`${file}: is in no room`);
    continue;
  }
  const source = readFileSync(join(root, file), 'utf8');
  for (const [, from, bare] of source.matchAll(
    /^(?:import|export)\s(?:type\s)?[\w\s{},*$]*?\sfrom\s+'([^']+)'|\bimport\s*\(?\s*'([^']+)'/gm,
  )) {
    const problem = checkImport(file, room, from ?? bare ?? '');
    if (problem !== undefined) problems.push(`${file}: ${problem}`);
  }
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
