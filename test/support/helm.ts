/** The real helm, with a home of its own, so that nothing of whoever runs the tests comes in. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { parseAllDocuments } from 'yaml';
import type { Manifest } from '../../tools/cluster.ts';
import { ensureBinary, type KubernetesAccess } from '../../tools/servers/index.ts';

const ROOT = join(import.meta.dirname, '../..');

export const CHART = join(ROOT, 'charts/cfssl-issuer');
export const CRDS_CHART = join(ROOT, 'charts/cfssl-issuer-crds');
/** Where the charts are installed. */
export const RELEASE_NAMESPACE = 'pki';

let home: string | undefined;

function helmHome(): string {
  if (home === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'helm-'));
    home = made;
    after(() => rmSync(made, { recursive: true }));
  }
  return home;
}

/** What helm prints. Rejects with what it says is wrong. */
export async function helm(words: readonly string[], access?: Pick<KubernetesAccess, 'kubeconfig'>): Promise<string> {
  const program = await ensureBinary('helm');
  const folder = helmHome();
  const env = { HOME: folder, HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder };
  const kubeconfig = access === undefined ? [] : [`--kubeconfig=${access.kubeconfig}`];
  try {
    const { stdout } = await promisify(execFile)(program, [...words, ...kubeconfig], { env, maxBuffer: 1 << 26 });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`helm ${words.join(' ')}: ${stderr}${stdout}`, { cause: error });
  }
}

/** What the chart renders for these values (`--set-json`) and further words, as text. */
export async function renderText(values: object = {}, ...words: readonly string[]): Promise<string> {
  const sets = Object.entries(values).map(([key, value]) => `--set-json=${key}=${JSON.stringify(value)}`);
  return await helm(['template', 'cfssl-issuer', CHART, `--namespace=${RELEASE_NAMESPACE}`, ...sets, ...words]);
}

export async function render(values: object = {}, ...words: readonly string[]): Promise<readonly Manifest[]> {
  return parseManifests(await renderText(values, ...words));
}

export function parseManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

/** The one manifest of that kind and, if there may be several, name. */
export function findManifest(manifests: readonly Manifest[], kind: string, name?: string): Manifest {
  const found = manifests.filter(
    (manifest) => manifest.kind === kind && (name === undefined || manifest.metadata.name === name),
  );
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`There are ${found.length} of ${kind} ${name ?? ''}`);
  return first;
}
