/**
 * What an issuer needs to sign, resolved from its spec and the Secrets and ConfigMaps that the spec names. Pure: the
 * objects come from a lookup. Every way in which it cannot work is an `IssuerProblem` that names the object and field.
 */
import {
  type ApiResource,
  type CertificateSource,
  CONFIG_MAPS,
  type ConfigMap,
  type IssuerSpec,
  issuerSpecSchema,
  SECRETS,
  type Secret,
} from '../api/index.ts';
import { type AuthKey, CfsslError, type Endpoint, parseAuthKey, parseEndpoints } from '../cfssl/index.ts';
import { parseDuration } from '../platform/index.ts';
import { type Certificate, parseCertificates, X509Error } from '../x509/index.ts';
import { IssuerProblem } from './issuer-problem.ts';

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_HEALTH_CHECK_INTERVAL_MS = 60_000;
/** A spec cannot ask for more health checks than this. */
const MIN_HEALTH_CHECK_INTERVAL_MS = 1_000;

/** A Secret or ConfigMap that a spec names. */
export interface ObjectReference {
  readonly resource: ApiResource;
  readonly namespace: string;
  readonly name: string;
}

/** What is known of such an object at the moment. */
export type ObjectState =
  | { readonly state: 'present'; readonly object: Secret | ConfigMap }
  | { readonly state: 'absent' }
  | { readonly state: 'failed'; readonly error: Error };

export type Lookup = (reference: ObjectReference) => ObjectState;

export interface IssuerConfiguration {
  readonly endpoints: readonly Endpoint[];
  readonly label: string;
  readonly profile: string | undefined;
  /** For requests that ask for a CA. */
  readonly caProfile: string | undefined;
  readonly bundle: boolean;
  /** `namespace/name` of the auth Secret. */
  readonly secret: string;
  readonly key: AuthKey;
  readonly nextKey: AuthKey | undefined;
  readonly additionalData: Uint8Array;
  /** PEM; undefined means the process' default trust. */
  readonly trustPem: string | undefined;
  readonly clientCertificate: { readonly certPem: string; readonly keyPem: string } | undefined;
  /** Certificates to complete chains with. */
  readonly chain: readonly Certificate[];
  /** Undefined: the profile decides how long certificates are valid. */
  readonly maxDurationMs: number | undefined;
  readonly timeoutMs: number;
  readonly healthCheckIntervalMs: number;
}

/** @throws IssuerProblem `InvalidSpec`, naming each field. */
export function parseSpec(spec: unknown): IssuerSpec {
  const result = issuerSpecSchema.safeParse(spec);
  if (result.success) return result.data;
  const fields = result.error.issues.map(({ path, message }) => `${['spec', ...path].join('.')}: ${message}`);
  throw new IssuerProblem('InvalidSpec', fields.join('; '));
}

/** The objects that the spec names, all of them in `namespace`. */
export function referencesOf(spec: IssuerSpec, namespace: string): ObjectReference[] {
  const sources = [spec.tls?.ca, spec.chain].filter((source) => source !== undefined);
  return [
    { resource: SECRETS, namespace, name: spec.authSecretName },
    ...[spec.tls?.clientCertificateSecretName]
      .filter((name) => name !== undefined)
      .map((name) => ({ resource: SECRETS, namespace, name })),
    ...sources.flatMap((source) => referenceOf(source, namespace) ?? []),
  ];
}

/** @throws IssuerProblem for whatever cannot work. */
export function buildConfiguration(spec: IssuerSpec, namespace: string, lookup: Lookup): IssuerConfiguration {
  const secret = { resource: SECRETS, namespace, name: spec.authSecretName };
  const nextKey = readOptional(secret, 'key_next', lookup);
  return {
    endpoints: asProblem('InvalidSpec', 'spec.url', () => parseEndpoints(spec.url)),
    label: spec.label,
    profile: spec.profile === '' ? undefined : spec.profile,
    caProfile: spec.caProfile,
    bundle: spec.bundle ?? false,
    secret: `${namespace}/${spec.authSecretName}`,
    key: parseKey(secret, 'key', readField(secret, 'key', lookup)),
    nextKey: nextKey === undefined ? undefined : parseKey(secret, 'key_next', nextKey),
    additionalData: readOptional(secret, 'additional_data', lookup) ?? new Uint8Array(),
    trustPem: readTrust(spec, namespace, lookup),
    clientCertificate: readClientCertificate(spec, namespace, lookup),
    chain: readChain(spec, namespace, lookup),
    maxDurationMs: readDuration(spec.maxDuration, 'spec.maxDuration'),
    timeoutMs: readDuration(spec.timeout, 'spec.timeout') ?? DEFAULT_TIMEOUT_MS,
    healthCheckIntervalMs: Math.max(
      readDuration(spec.healthCheckInterval, 'spec.healthCheckInterval') ?? DEFAULT_HEALTH_CHECK_INTERVAL_MS,
      MIN_HEALTH_CHECK_INTERVAL_MS,
    ),
  };
}

function parseKey(secret: ObjectReference, field: string, bytes: Uint8Array): AuthKey {
  return asProblem('InvalidSecret', `${describe(secret)}, field "${field}"`, () =>
    parseAuthKey(Buffer.from(bytes).toString('utf8')),
  );
}

function readTrust(spec: IssuerSpec, namespace: string, lookup: Lookup): string | undefined {
  const source = spec.tls?.ca;
  if (source === undefined) return undefined;
  return readCertificates(source, 'spec.tls.ca', namespace, lookup)
    .map(({ pem }) => pem)
    .join('');
}

function readChain(spec: IssuerSpec, namespace: string, lookup: Lookup): readonly Certificate[] {
  return spec.chain === undefined ? [] : readCertificates(spec.chain, 'spec.chain', namespace, lookup);
}

function readCertificates(source: CertificateSource, field: string, namespace: string, lookup: Lookup): Certificate[] {
  const reference = referenceOf(source, namespace);
  const key = source.secretRef?.key ?? source.configMapRef?.key ?? '';
  if (reference === undefined) {
    if (source.pem === undefined) {
      throw new IssuerProblem('InvalidSpec', `${field} needs exactly one of pem, secretRef and configMapRef`);
    }
    return asProblem('InvalidSpec', `${field}.pem`, () => parseCertificates(source.pem ?? ''));
  }
  const reason = reference.resource === SECRETS ? 'InvalidSecret' : 'InvalidConfigMap';
  const bytes = readField(reference, key, lookup);
  return asProblem(reason, `${describe(reference)}, field "${key}" (${field})`, () =>
    parseCertificates(Buffer.from(bytes).toString('utf8')),
  );
}

function readClientCertificate(
  spec: IssuerSpec,
  namespace: string,
  lookup: Lookup,
): IssuerConfiguration['clientCertificate'] {
  const name = spec.tls?.clientCertificateSecretName;
  if (name === undefined) return undefined;
  const secret = { resource: SECRETS, namespace, name };
  return {
    certPem: Buffer.from(readField(secret, 'tls.crt', lookup)).toString('utf8'),
    keyPem: Buffer.from(readField(secret, 'tls.key', lookup)).toString('utf8'),
  };
}

function readDuration(text: string | undefined, field: string): number | undefined {
  if (text === undefined) return undefined;
  const durationMs = parseDuration(text);
  if (durationMs === undefined || durationMs <= 0) {
    throw new IssuerProblem('InvalidSpec', `${field}: "${text}" is no duration like 10s or 1m30s`);
  }
  return durationMs;
}

function referenceOf(source: CertificateSource, namespace: string): ObjectReference | undefined {
  if (source.secretRef !== undefined) return { resource: SECRETS, namespace, name: source.secretRef.name };
  if (source.configMapRef !== undefined) return { resource: CONFIG_MAPS, namespace, name: source.configMapRef.name };
  return undefined;
}

/** @throws IssuerProblem when the object or the field is missing, or the object may not be read. */
function readField(reference: ObjectReference, field: string, lookup: Lookup): Uint8Array {
  const bytes = readOptional(reference, field, lookup);
  if (bytes !== undefined) return bytes;
  const reason = reference.resource === SECRETS ? 'InvalidSecret' : 'InvalidConfigMap';
  throw new IssuerProblem(reason, `${describe(reference)} has no field "${field}"`);
}

/** As `readField`, but a missing field is undefined. */
function readOptional(reference: ObjectReference, field: string, lookup: Lookup): Uint8Array | undefined {
  const found = lookup(reference);
  switch (found.state) {
    case 'absent': {
      const reason = reference.resource === SECRETS ? 'SecretNotFound' : 'ConfigMapNotFound';
      throw new IssuerProblem(reason, `${describe(reference)} does not exist; create it`);
    }
    case 'failed':
      throw new IssuerProblem('AccessDenied', `Cannot read ${describe(reference)}: ${found.error.message}`, {
        cause: found.error,
      });
    case 'present':
      return fieldOf(reference, found.object, field);
  }
}

function fieldOf({ resource }: ObjectReference, object: Secret | ConfigMap, field: string): Uint8Array | undefined {
  const text = ownField(object.data, field);
  if (resource === SECRETS) return text === undefined ? undefined : Buffer.from(text, 'base64');
  if (text !== undefined) return Buffer.from(text, 'utf8');
  const binary = ownField('binaryData' in object ? object.binaryData : undefined, field);
  return binary === undefined ? undefined : Buffer.from(binary, 'base64');
}

function ownField(data: Readonly<Record<string, string>> | undefined, field: string): string | undefined {
  return data !== undefined && Object.hasOwn(data, field) ? data[field] : undefined;
}

function describe({ resource, namespace, name }: ObjectReference): string {
  return `${resource.kind} ${namespace}/${name}`;
}

/** Turns an error of a parser below into the issuer's problem, saying where the text stands. */
function asProblem<T>(reason: 'InvalidSpec' | 'InvalidSecret' | 'InvalidConfigMap', where: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof CfsslError || error instanceof X509Error) {
      throw new IssuerProblem(reason, `${where}: ${error.message}`, { cause: error });
    }
    throw error;
  }
}
