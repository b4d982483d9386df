/** An empty cluster to install the charts in: a real API server, cert-manager's CRDs, and some namespaces. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type Manifest, openCluster } from '../../tools/cluster.ts';
import {
  applyCrds,
  type ControlPlane,
  type ControlPlaneOptions,
  installCertManagerCrds,
  startControlPlane,
} from '../../tools/servers/index.ts';
import { kubectl } from './config-maps.ts';
import { RELEASE_NAMESPACE } from './helm.ts';

const FOREIGN_CRDS = join(import.meta.dirname, '../charts/crds');

/** Where the values in `test/charts/cases` put things. */
const NAMESPACES = ['pki-secrets', 'other', 'team', 'team-a', 'team-b'];
/** The Pod Security Standard that the release's namespace holds its pods to. */
const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' };

export interface ChartCluster extends AsyncDisposable {
  readonly controlPlane: ControlPlane;
  /** Gives the manifests to the API server, which judges them by their schemas, strictly, and admission. Keeps nothing. */
  readonly validate: (manifests: string) => Promise<void>;
  /** A field of an object, by JSONPath; empty when there is no such field. Rejects when there is no such object. */
  readonly read: (jsonPath: string, ...object: readonly string[]) => Promise<string>;
}

export async function startChartCluster(options: ControlPlaneOptions = {}): Promise<ChartCluster> {
  await using undo = new AsyncDisposableStack();
  const controlPlane = undo.use(await startControlPlane(options));
  await installCertManagerCrds(controlPlane);
  const foreign = readdirSync(FOREIGN_CRDS).map((file) => readFileSync(join(FOREIGN_CRDS, file), 'utf8'));
  await applyCrds(
    controlPlane,
    foreign.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as object)),
  );
  const cluster = openCluster(controlPlane);
  undo.defer(() => cluster.close());
  for (const name of [RELEASE_NAMESPACE, ...NAMESPACES]) await cluster.create(namespaceOf(name));
  const cleanup = undo.move();
  return {
    controlPlane,
    validate: async (manifests) => {
      const file = join(controlPlane.folder, 'manifests.yaml');
      writeFileSync(file, manifests);
      await kubectl(controlPlane, 'apply', '--dry-run=server', '--validate=strict', '--filename', file);
    },
    read: (jsonPath, ...object) => kubectl(controlPlane, 'get', ...object, `--output=jsonpath=${jsonPath}`),
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

function namespaceOf(name: string): Manifest {
  const labels = name === RELEASE_NAMESPACE ? RESTRICTED : {};
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } as Manifest['metadata'] };
}
