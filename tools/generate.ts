/**
 * Writes every generated file of the repository; with `--check`, writes nothing and fails when one is stale.
 * Generated files are committed, because users apply them without having this tool.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CLUSTER_ISSUERS, ISSUERS, issuerSpecSchema, issuerStatusSchema } from '../src/api/index.ts';
import { buildChartFiles } from './charts.ts';
import { buildCrd, type PrinterColumn } from './crd.ts';
import { buildReference } from './reference.ts';

const root = join(import.meta.dirname, '..');

const printerColumns: readonly PrinterColumn[] = [
  { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
  { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason' },
  { name: 'Label', type: 'string', jsonPath: '.spec.label' },
  { name: 'Profile', type: 'string', jsonPath: '.spec.profile' },
  { name: 'CA expiry', type: 'string', jsonPath: '.status.ca.notAfter' },
  { name: 'Message', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].message', priority: 1 },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

function crd(resource: typeof ISSUERS, description: string): string {
  return buildCrd({
    resource,
    singular: resource.kind.toLowerCase(),
    // `kubectl get issuers` finds cert-manager's own.
    shortNames: [`cfssl${resource.kind.toLowerCase()}`, `cfssl${resource.plural}`],
    description,
    spec: issuerSpecSchema.describe('Where CFSSL is and how to sign with it.'),
    status: issuerStatusSchema.describe('What the controller last saw.'),
    printerColumns,
  });
}

const files = new Map<string, string>([
  [
    `config/crd/bases/${ISSUERS.group}_issuers.yaml`,
    crd(ISSUERS, 'Issuer has the certificates of its namespace signed by a CFSSL server.'),
  ],
  [
    `config/crd/bases/${ISSUERS.group}_clusterissuers.yaml`,
    crd(CLUSTER_ISSUERS, 'ClusterIssuer has the certificates of all namespaces signed by a CFSSL server.'),
  ],
]);

const crds = new Map(Array.from(files, ([path, content]) => [basename(path), content]));
for (const [path, content] of [...buildChartFiles(crds), ...buildReference()]) files.set(path, content);

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [path, content] of files) {
  const absolute = join(root, path);
  if (check) {
    const present = await readFile(absolute, 'utf8').catch(() => undefined);
    if (present !== content) stale.push(path);
  } else {
    await mkdir(dirname(absolute), { recursive: true });
    await writeFile(absolute, content);
    console.log(path);
  }
}
if (stale.length > 0) {
  console.error(`Stale generated files: ${stale.join(', ')}. Run "make generate" and commit the result.`);
  process.exitCode = 1;
}
