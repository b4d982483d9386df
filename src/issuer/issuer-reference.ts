/**
 * Which issuer a request names. An issuer's id is `Issuer/namespace/name` or `ClusterIssuer/name`: both kinds share
 * one queue, one reconciler and one index, and differ in scope only.
 */
import {
  type CertificateRequest,
  CLUSTER_ISSUERS,
  ISSUER_GROUP,
  ISSUERS,
  type IssuerKind,
  type ObjectMeta,
} from '../api/index.ts';

export type IssuerId = `Issuer/${string}/${string}` | `ClusterIssuer/${string}`;

export interface IssuerTarget {
  readonly id: IssuerId;
  readonly kind: IssuerKind;
  /** Of an Issuer: the request's own, or the one in the signer name. */
  readonly namespace: string | undefined;
  readonly name: string;
}

/**
 * The issuer that a request names, or undefined when it is not one of ours. A missing kind means Issuer, as for
 * cert-manager's own issuers; a missing group never means ours.
 */
export function targetOf(request: CertificateRequest): IssuerTarget | undefined {
  const { group, kind = 'Issuer', name } = request.spec.issuerRef;
  if (group !== ISSUER_GROUP) return undefined;
  if (kind === 'Issuer' || kind === '') return buildTarget('Issuer', request.metadata.namespace, name);
  return kind === 'ClusterIssuer' ? buildTarget('ClusterIssuer', undefined, name) : undefined;
}

/**
 * The issuer behind a signer name of Kubernetes: `clusterissuers.GROUP/NAME` or `issuers.GROUP/NAMESPACE.NAME`, as
 * cert-manager writes its own (`pkg/controller/certificatesigningrequests/util/signername.go`). No namespace has a dot in
 * its name. Undefined when it is not one of ours; an Issuer without a namespace is, and has an empty one.
 */
export function targetOfSigner(signerName: string): IssuerTarget | undefined {
  const [domain, path = '', ...rest] = signerName.split('/');
  if (path === '' || rest.length > 0) return undefined;
  if (domain === `${CLUSTER_ISSUERS.plural}.${ISSUER_GROUP}`) return buildTarget('ClusterIssuer', undefined, path);
  if (domain !== `${ISSUERS.plural}.${ISSUER_GROUP}`) return undefined;
  const dot = path.indexOf('.');
  return buildTarget('Issuer', path.slice(0, Math.max(dot, 0)), path.slice(dot + 1));
}

export function targetOfIssuer(kind: IssuerKind, metadata: ObjectMeta): IssuerTarget {
  return buildTarget(kind, metadata.namespace, metadata.name);
}

export function parseIssuerId(id: string): IssuerTarget {
  const [kind = '', first = '', second = ''] = id.split('/');
  return kind === 'Issuer' ? buildTarget('Issuer', first, second) : buildTarget('ClusterIssuer', undefined, first);
}

function buildTarget(kind: IssuerKind, namespace: string | undefined, name: string): IssuerTarget {
  return kind === 'Issuer'
    ? { id: `Issuer/${namespace ?? ''}/${name}`, kind, namespace: namespace ?? '', name }
    : { id: `ClusterIssuer/${name}`, kind, namespace: undefined, name };
}
