/**
 * Whether the creator of a CertificateSigningRequest may use the issuer that it names. An Issuer belongs to a namespace
 * and the request to none, so its creator needs the verb `reference` there: on the very resource that cert-manager asks
 * about for its own Issuers (`pkg/controller/certificatesigningrequests/sync.go`), so that one Role serves both.
 */
import { type AccessReview, type CertificateSigningRequest, SUBJECT_ACCESS_REVIEWS } from '../api/index.ts';
import type { KubernetesClient } from '../kubernetes/index.ts';
import { printable } from '../x509/index.ts';
import type { IssuerTarget } from './issuer-reference.ts';

/** Names in the sentence are cut to this length. */
const MAX_SHOWN = 253;
/** A rule for all Issuers of a namespace may be written with this name. */
const ANY_NAME = '*';

/** Why not, as a sentence; undefined when it may. Who may create a request may use every ClusterIssuer. */
export async function findObjection(
  { spec }: CertificateSigningRequest,
  { namespace, name }: IssuerTarget,
  { client, signal }: { readonly client: Pick<KubernetesClient, 'create'>; readonly signal: AbortSignal },
): Promise<string | undefined> {
  if (namespace === undefined) return undefined; // a ClusterIssuer
  const { username: user, uid, groups, extra } = spec;
  const resource = { group: 'cert-manager.io', resource: 'signers', verb: 'reference', namespace };
  for (const allowed of [name, ANY_NAME]) {
    const review: AccessReview = {
      spec: { user, uid, groups, extra, resourceAttributes: { ...resource, name: allowed } },
    };
    const { status } = await client.create(SUBJECT_ACCESS_REVIEWS, review, { signal });
    if (status?.allowed === true) return undefined;
  }
  const [who, what] = [printable(user ?? '', MAX_SHOWN), printable(name, MAX_SHOWN)];
  return `User "${who}" lacks the verb "reference" on signers.cert-manager.io "${what}" in namespace "${namespace}"`;
}
