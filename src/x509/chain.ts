/**
 * Chains by the rules of cert-manager's `ParseSingleCertificateChain` (pkg/util/pki/parse_certificate_chain.go, v1.21),
 * so that what we publish is what cert-manager's own issuers would.
 */
import { type Certificate, isIssuedBy, MAX_CERTIFICATES } from './certificate.ts';
import { X509Error } from './errors.ts';

export interface CertificateChain {
  readonly leaf: Certificate;
  /** From the leaf to the highest certificate that is not self-signed: what a server sends (`tls.crt`). */
  readonly chain: readonly Certificate[];
  /** The root, or the highest certificate above the leaf: what a client may trust (`ca.crt`). */
  readonly ca?: Certificate;
}

/** A part of the chain, each certificate issued by the next. */
type Piece = readonly [Certificate, ...Certificate[]];

/**
 * Orders certificates, given in any order and repeatedly, into the one chain that they must form.
 * @throws X509Error X509_CHAIN when they form none or more than one, X509_LIMIT when they are too many
 */
export function buildChain(certificates: readonly Certificate[]): CertificateChain {
  const byFingerprint = new Map(certificates.map((certificate) => [certificate.sha256Hex, certificate]));
  // Sorted, so that the result depends on the set alone, also where a root was renewed under the same key
  const unique = [...byFingerprint.values()].toSorted((a, b) => (a.sha256Hex < b.sha256Hex ? -1 : 1));
  if (unique.length > MAX_CERTIFICATES) {
    const state = `there are more than ${MAX_CERTIFICATES} certificates`;
    throw new X509Error('X509_LIMIT', 'chain', `Cannot build chain: ${state}`);
  }
  const pieces = unique.map((certificate): Piece => [certificate]);
  let last = pieces.pop();
  while (pieces.length > 0 && last !== undefined) {
    const piece = last;
    const index = pieces.findIndex((other) => joins(other, piece) || joins(piece, other));
    const other = pieces[index];
    if (other === undefined) {
      const state = 'neither issued nor was issued by the others';
      throw chainError(`the certificate "${piece[0].subjectText}" ${state}`);
    }
    pieces[index] = joins(other, piece) ? [...other, ...piece] : [...piece, ...other];
    last = pieces.pop();
  }
  if (last === undefined) throw chainError('there are no certificates');
  return split(last);
}

/** The PEM of the certificates in their order, ended by a newline. */
export function encodeChain(certificates: readonly Certificate[]): string {
  return certificates.map(({ pem }) => pem).join('');
}

/** Whether the end of `lower` was issued by the beginning of `upper`. */
function joins(lower: Piece, upper: Piece): boolean {
  return isIssuedBy(lower.at(-1) ?? lower[0], upper[0]);
}

function split(ordered: Piece): CertificateChain {
  const [leaf] = ordered;
  const top = ordered.at(-1) ?? leaf;
  // Of a self-signed certificate that was renewed, none is sent; the leaf is, even when it is its own root
  const chain = ordered.filter((certificate) => certificate === leaf || !certificate.isSelfSigned);
  return ordered.length > 1 || top.isSelfSigned ? { leaf, chain, ca: top } : { leaf, chain };
}

function chainError(state: string): X509Error {
  return new X509Error('X509_CHAIN', 'chain', `Cannot build chain: ${state}`);
}
