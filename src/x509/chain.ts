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
  const pieces = unique.map((certificate) => [certificate]);
  let last = pieces.pop();
  while (pieces.length > 0 && last !== undefined) {
    const piece = last;
    const index = pieces.findIndex((other) => joins(other, piece) || joins(piece, other));
    const other = pieces[index];
    if (other === undefined) throw chainError(`${describe(piece)} neither issued nor was issued by the others`);
    pieces[index] = joins(piece, other) ? [...piece, ...other] : [...other, ...piece];
    last = pieces.pop();
  }
  if (last === undefined) throw chainError('there are no certificates');
  return split(last);
}

/** Whether the end of `lower` was issued by the beginning of `upper`. */
function joins(lower: readonly Certificate[], upper: readonly Certificate[]): boolean {
  const [end, beginning] = [lower.at(-1), upper[0]];
  return end !== undefined && beginning !== undefined && isIssuedBy(end, beginning);
}

function split(ordered: readonly Certificate[]): CertificateChain {
  const [leaf] = ordered;
  const top = ordered.at(-1);
  if (leaf === undefined || top === undefined) throw chainError('there are no certificates');
  // A single certificate is the chain even when it is its own root
  const chain = ordered.length > 1 && top.isSelfSigned ? ordered.slice(0, -1) : ordered;
  return ordered.length > 1 || top.isSelfSigned ? { leaf, chain, ca: top } : { leaf, chain };
}

function describe(piece: readonly Certificate[]): string {
  return `the certificate "${piece[0]?.subjectText}"`;
}

function chainError(state: string): X509Error {
  return new X509Error('X509_CHAIN', 'chain', `Cannot build chain: ${state}`);
}
