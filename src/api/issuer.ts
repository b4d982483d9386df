/**
 * `cfssl-issuer.wikimedia.org/v1alpha1`: Issuer and ClusterIssuer. The zod schemas are the single source of truth:
 * types are inferred from them, the CRDs are generated from them (`make generate`), and stored objects, which may be
 * older than the CRD, are checked against them before use. The two kinds differ in scope only.
 */
import { z } from 'zod';
import type { Condition } from './conditions.ts';
import type { ApiResource, ObjectMeta } from './metadata.ts';

export const ISSUER_GROUP = 'cfssl-issuer.wikimedia.org';
export const ISSUER_VERSION = 'v1alpha1';

/** Kubernetes' limit for names of Secrets and ConfigMaps. */
const objectName = z.string().min(1).max(253);
const objectKey = z.string().min(1).max(253);

const DURATION_PATTERN = /^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$/;

const keyReference = (kind: string) =>
  z.object({
    name: objectName.describe(`Name of the ${kind}.`),
    key: objectKey.describe(`Key in the ${kind}'s data that holds the PEM.`),
  });

/** Exactly one of the three; stated as a CEL rule because a structural schema has no unions. */
const certificateSource = (description: string) =>
  z
    .object({
      pem: z.string().min(1).max(262_144).optional().describe('The certificates themselves, PEM.'),
      secretRef: keyReference('Secret').optional().describe('A Secret in the namespace of the auth Secret.'),
      configMapRef: keyReference('ConfigMap').optional().describe('A ConfigMap in the namespace of the auth Secret.'),
    })
    .describe(description)
    .meta({
      'x-kubernetes-validations': [
        {
          rule: '[has(self.pem), has(self.secretRef), has(self.configMapRef)].filter(x, x).size() == 1',
          message: 'exactly one of pem, secretRef and configMapRef must be set',
        },
      ],
    });

const duration = (description: string) =>
  z.string().max(64).regex(DURATION_PATTERN, 'must be a duration like 10s, 1m or 1h30m').describe(description);

export const issuerSpecSchema = z.object({
  url: z
    .string()
    .min(1)
    .max(8192)
    .describe(
      'One or more base URLs of the CFSSL API, separated by commas and tried in this order, for example ' +
        '"https://ca1.example.com:8888,https://ca2.example.com:8888". A bare host name means http.',
    )
    .meta({
      'x-kubernetes-validations': [
        { rule: "self.matches('[^,\\\\s]')", message: 'url must name at least one CFSSL server' },
      ],
    }),
  authSecretName: objectName.describe(
    'Name of the Secret with the key that authenticates us to CFSSL: "key" (hex), optionally "additional_data", and ' +
      '"key_next", which is tried when "key" is refused. An Issuer\'s Secret lies in its own namespace, that of a ' +
      'ClusterIssuer in the cluster resource namespace (a flag of the controller; by default the one it runs in).',
  ),
  label: z.string().max(1024).describe("Which of the CFSSL server's signers signs. Empty means the server's default."),
  profile: z
    .string()
    .max(1024)
    .optional()
    .describe("Signing profile of that signer. Without it, the server's default profile is used."),
  bundle: z
    .boolean()
    .optional()
    .describe(
      'Ask CFSSL for a certificate bundle. The chain is complete with or without it where the issuing certificate is ' +
        'known; a server that cannot bundle still issues.',
    ),
  tls: z
    .object({
      ca: certificateSource(
        "Whom to trust as CFSSL server. Default: SSL_CERT_FILE, else the system's roots.",
      ).optional(),
      clientCertificateSecretName: objectName
        .optional()
        .describe('A Secret of type kubernetes.io/tls with the certificate to present to CFSSL.'),
    })
    .optional()
    .describe('TLS towards CFSSL.'),
  chain: certificateSource('Intermediates and roots to complete the chain of issued certificates with.').optional(),
  maxDuration: duration(
    "Ask CFSSL for the validity that a request's own duration wants, but for no longer than this and not beyond the end " +
      'of the CA. multirootca since 1.3.0 obeys; of a server that does not, the issuer tells in an event. Without it ' +
      'the profile decides.',
  ).optional(),
  caProfile: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .describe(
      'Signing profile for requests that ask for a CA (isCA: true); it needs the same auth_key as the profile. Without ' +
        'it they are sent with the profile, and CFSSL refuses them.',
    ),
  timeout: duration('Deadline of one call to CFSSL. Default 10s.').optional(),
  healthCheckInterval: duration('How often a Ready issuer is checked again. Default 1m.').optional(),
});
export type IssuerSpec = z.infer<typeof issuerSpecSchema>;
export type CertificateSource = NonNullable<IssuerSpec['chain']>;

/** What the controller reports; generated into the CRD, never validated at run time. */
export const issuerStatusSchema = z.object({
  conditions: z
    .array(
      z.object({
        type: z.string().describe('Ready.'),
        status: z.enum(['True', 'False', 'Unknown']),
        reason: z.string().optional().describe('Checked, or the cause in one word.'),
        message: z.string().optional().describe('What was seen and what to do.'),
        lastTransitionTime: z.string().optional().meta({ format: 'date-time' }),
        observedGeneration: z.int().optional().meta({ format: 'int64' }),
      }),
    )
    .optional()
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] }),
  endpoints: z
    .array(
      z.object({
        url: z.string(),
        reachable: z.boolean().optional().describe('Whether its last call was answered; absent before the first.'),
        lastError: z.string().optional().describe('Why its last call failed.'),
      }),
    )
    .optional()
    .describe('The CFSSL servers of spec.url.')
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['url'] }),
  ca: z
    .object({
      subject: z.string(),
      sha256: z.string().describe('SHA-256 of the certificate, hex.'),
      notAfter: z.string().meta({ format: 'date-time' }),
    })
    .optional()
    .describe('The certificate of the CA that signs.'),
  keyInUse: z.string().optional().describe('Which key of the Secret CFSSL accepts: key or key_next.'),
});

export interface IssuerStatus extends Omit<z.infer<typeof issuerStatusSchema>, 'conditions'> {
  readonly conditions?: readonly Condition[];
}

export type IssuerKind = 'Issuer' | 'ClusterIssuer';

/** An Issuer or ClusterIssuer as the API server holds it; `spec` is unchecked. */
export interface Issuer {
  readonly metadata: ObjectMeta;
  readonly spec: unknown;
  readonly status?: IssuerStatus;
}

export const ISSUERS: ApiResource = {
  group: ISSUER_GROUP,
  version: ISSUER_VERSION,
  plural: 'issuers',
  kind: 'Issuer',
  namespaced: true,
};
export const CLUSTER_ISSUERS: ApiResource = {
  group: ISSUER_GROUP,
  version: ISSUER_VERSION,
  plural: 'clusterissuers',
  kind: 'ClusterIssuer',
  namespaced: false,
};
