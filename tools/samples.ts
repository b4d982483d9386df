// The manifests of config/samples, and what has to be put in them for a CFSSL on this machine: its address and key.
// Everything else stays as users find it, the address at which nobody answers too.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

import type { Manifest } from './cluster.ts';
import type { DemoCfssl } from './demo-servers.ts';

const FOLDER = join(import.meta.dirname, '../config/samples');
/** The ConfigMap with the root of CFSSL's CA, which the samples' issuers name. */
export const CA_CONFIG_MAP = 'cfssl-server-ca';
/** Where the samples' issuers look for it: the samples' namespace, and the ClusterIssuers'. */
export const CA_NAMESPACES = ['default', 'cfssl-issuer-system'] as const;
/** Where the samples expect CFSSL. */
export const SAMPLE_URL = 'https://api.simple-cfssl.svc.cluster.local:8888';

/** Order in which a person would apply them. */
const ORDER = [
  'Namespace',
  'ConfigMap',
  'Secret',
  'ClusterIssuer',
  'Issuer',
  'Certificate',
  'CertificateRequest',
  'Ingress',
  'Gateway',
];

/** The samples as they are in the repository. */
export function readSamples(): readonly Manifest[] {
  const files = globSync('**/*.yaml', { cwd: FOLDER });
  return inOrder(
    files.flatMap((file) =>
      parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')).map((document) => document.toJS() as Manifest),
    ),
  );
}

/** The samples, fitted to this CFSSL, with the namespace and the ConfigMaps that they expect to be there. */
export function fitSamples(samples: readonly Manifest[], cfssl: DemoCfssl): readonly Manifest[] {
  return inOrder([...buildSurroundings(cfssl.caPem), ...samples.map((sample) => fit(sample, cfssl))]);
}

/**
 * What `kubectl wait` would be told to wait for: the samples with a Ready condition, and the Certificates that
 * cert-manager makes of the annotated ones.
 */
export function readyObjectsOf(samples: readonly Manifest[]): readonly Manifest[] {
  return samples.flatMap((sample) => {
    switch (sample.kind) {
      case 'Issuer':
      case 'ClusterIssuer':
      case 'Certificate':
      case 'CertificateRequest':
        return [sample];
      case 'Ingress':
      case 'Gateway':
        return secretNamesOf(sample).map((name) => certificateNamed(name, sample));
      default:
        return [];
    }
  });
}

/** The namespace of ClusterIssuers' Secrets, and the ConfigMaps with CFSSL's root. */
export function buildSurroundings(caPem: string): readonly Manifest[] {
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'cfssl-issuer-system' } },
    ...CA_NAMESPACES.map((namespace) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: CA_CONFIG_MAP, namespace },
      data: { 'ca.crt': caPem },
    })),
  ];
}

function inOrder(manifests: readonly Manifest[]): readonly Manifest[] {
  return manifests.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}

function fit(manifest: Manifest, cfssl: DemoCfssl): Manifest {
  switch (manifest.kind) {
    case 'Secret':
      return { ...manifest, stringData: { key: cfssl.authKeys['server'] } };
    case 'Issuer':
    case 'ClusterIssuer': {
      const spec = manifest['spec'] as { readonly url: string };
      return { ...manifest, spec: { ...spec, url: spec.url.replaceAll(SAMPLE_URL, cfssl.url) } };
    }
    default:
      return manifest;
  }
}

/** The Secrets that cert-manager is to fill: it names the Certificates after them. */
function secretNamesOf({ kind, spec }: Manifest): readonly string[] {
  if (kind === 'Ingress') return (spec as IngressSpec).tls.map(({ secretName }) => secretName);
  return (spec as GatewaySpec).listeners.flatMap(({ tls }) => tls.certificateRefs.map(({ name }) => name));
}

function certificateNamed(name: string, { metadata: { namespace } }: Manifest): Manifest {
  return {
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: namespace === undefined ? { name } : { name, namespace },
  };
}

interface IngressSpec {
  readonly tls: readonly { readonly secretName: string }[];
}

interface GatewaySpec {
  readonly listeners: readonly { readonly tls: { readonly certificateRefs: readonly { readonly name: string }[] } }[];
}
