// Our own CRDs, installed as `kubectl apply -f config/crd/bases` would.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

import { applyCrds, type KubernetesAccess } from './servers/index.ts';

const FOLDER = join(import.meta.dirname, '../config/crd/bases');

export async function applyOurCrds(
  access: KubernetesAccess,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const files = globSync('*.yaml', { cwd: FOLDER });
  const crds = files.map((file): unknown => parse(readFileSync(join(FOLDER, file), 'utf8')));
  await applyCrds(access, crds, options);
}
