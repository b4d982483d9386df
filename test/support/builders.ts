/** Objects for tests. Each starts bare; a case adds only what it is about. */
import type {
  CertificateRequest,
  CertificateSigningRequest,
  Condition,
  ConfigMap,
  Issuer,
  Secret,
} from '../../src/api/index.ts';

/** A CertificateRequest of an Issuer of ours, without any condition. */
export function certificateRequest(
  overrides: {
    readonly metadata?: Partial<CertificateRequest['metadata']>;
    readonly spec?: Partial<CertificateRequest['spec']>;
    readonly status?: CertificateRequest['status'];
    readonly conditions?: readonly Condition[];
  } = {},
): CertificateRequest {
  const conditions = overrides.conditions === undefined ? {} : { status: { conditions: overrides.conditions } };
  const status = overrides.status === undefined ? conditions : { status: overrides.status };
  return {
    metadata: {
      name: 'request',
      namespace: 'team',
      uid: 'uid-request',
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...overrides.metadata,
    },
    spec: {
      request: '',
      issuerRef: { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: 'ca' },
      ...overrides.spec,
    },
    ...status,
  };
}

/** A CertificateSigningRequest of the Issuer `team/ca`, without any condition. */
export function signingRequest(
  overrides: {
    readonly metadata?: Partial<CertificateSigningRequest['metadata']>;
    readonly spec?: Partial<CertificateSigningRequest['spec']>;
    readonly status?: CertificateSigningRequest['status'];
  } = {},
): CertificateSigningRequest {
  return {
    metadata: {
      name: 'request',
      uid: 'uid-request',
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...overrides.metadata,
    },
    spec: { request: '', signerName: 'issuers.cfssl-issuer.wikimedia.org/team.ca', ...overrides.spec },
    ...(overrides.status === undefined ? {} : { status: overrides.status }),
  };
}

/** An Issuer of generation 1, without a status. */
export function issuer(
  overrides: {
    readonly metadata?: Partial<Issuer['metadata']>;
    readonly spec?: unknown;
    readonly conditions?: readonly Condition[];
  } = {},
): Issuer {
  return {
    metadata: {
      name: 'ca',
      namespace: 'team',
      uid: 'uid-issuer',
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...overrides.metadata,
    },
    spec: overrides.spec ?? { url: 'https://ca.example', authSecretName: 'ca-key', label: 'main' },
    ...(overrides.conditions === undefined ? {} : { status: { conditions: overrides.conditions } }),
  };
}

export const APPROVED: Condition = { type: 'Approved', status: 'True', reason: 'cert-manager.io' };
export const DENIED: Condition = { type: 'Denied', status: 'True', reason: 'policy' };

export function ready(overrides: Partial<Condition> = {}): Condition {
  return { type: 'Ready', status: 'True', reason: 'Checked', observedGeneration: 1, ...overrides };
}

/** A Secret with these fields, of text or bytes. */
export function secret(
  fields: Readonly<Record<string, string | Uint8Array>> = {},
  metadata: Partial<Secret['metadata']> = {},
): Secret {
  return { metadata: { ...OBJECT_METADATA, name: 'ca-key', uid: 'uid-secret', ...metadata }, data: toBase64(fields) };
}

/** A ConfigMap with these fields of text and of bytes. */
export function configMap(
  data: Readonly<Record<string, string>> = {},
  binaryFields: Readonly<Record<string, Uint8Array>> = {},
  metadata: Partial<ConfigMap['metadata']> = {},
): ConfigMap {
  return {
    metadata: { ...OBJECT_METADATA, name: 'ca-roots', uid: 'uid-config-map', ...metadata },
    data,
    binaryData: toBase64(binaryFields),
  };
}

const OBJECT_METADATA = { namespace: 'team', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' };

function toBase64(fields: Readonly<Record<string, string | Uint8Array>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, Buffer.from(value as Uint8Array).toString('base64')]),
  );
}
