// The manifests of config/samples, and what has to be put in them for a CFSSL on this machine: its address and key.
// Everything else stays as users find it.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

import type { Manifest } from './cluster.ts';
import type { DemoCfssl } from './demo-servers.ts';

const FOLDER = join(import.meta.dirname, '../config/samples');
/** The ConfigMap with the root of CFSSL's CA, which the samples' issuers name. */
const CA_CONFIG_MAP = 'cfssl-server-ca';

/** Order in which a person would apply them. */
const ORDER = ['Namespace', 'ConfigMap', 'Secret', 'ClusterIssuer', 'Issuer', 'Certificate', 'CertificateRequest'];

/** The samples, fitted to this CFSSL, with the namespace and the ConfigMaps that they expect to be there. */
export function readSamples(cfssl: DemoCfssl): readonly Manifest[] {
  const samples = globSync('*.yaml', { cwd: FOLDER }).flatMap((file) =>
    parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => document.toJS() as Manifest),
  );
  const namespaces = ['default', 'cfssl-issuer-system'];
  const surroundings: Manifest[] = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'cfssl-issuer-system' } },
    ...namespaces.map((namespace) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: CA_CONFIG_MAP, namespace },
      data: { 'ca.crt': cfssl.caPem },
    })),
  ];
  return [...surroundings, ...samples.map((sample) => fit(sample, cfssl))].sort(
    (a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind),
  );
}

function fit(manifest: Manifest, cfssl: DemoCfssl): Manifest {
  switch (manifest.kind) {
    case 'Secret':
      return { ...manifest, stringData: { key: cfssl.authKeys['server'] } };
    case 'Issuer':
    case 'ClusterIssuer':
      return { ...manifest, spec: { ...(manifest['spec'] as object), url: cfssl.url } };
    default:
      return manifest;
  }
}
