/**
 * Chains by the rules of cert-manager's `ParseSingleCertificateChain` (pkg/util/pki/parse_certificate_chain.go, v1.21),
 * so that what we publish is what cert-manager's own issuers would.
 */
import { equalBytes } from './bytes.ts';
import { type Certificate, isIssuedBy, MAX_CERTIFICATES } from './certificate.ts';
import { X509Error, type X509ErrorCode } from './errors.ts';

export interface CertificateChain {
  readonly leaf: Certificate;
  /** From the leaf to the highest certificate that is not self-signed: what a server sends (`tls.crt`). */
  readonly chain: readonly Certificate[];
  /** The root, or the highest certificate above the leaf: what a client may trust (`ca.crt`). */
  readonly ca?: Certificate;
}

/** A chain of 1000 needs 2000; only certificates that share a name need more, up to the square of their number. */
const MAX_SIGNATURE_CHECKS = 2500;

/** A part of the chain, each certificate issued by the next. */
type Piece = readonly [Certificate, ...Certificate[]];

/**
 * Orders certificates, given in any order and repeatedly, into the one chain that they must form.
 * @throws X509Error X509_CHAIN when they form none or more than one, X509_LIMIT when they are too many
 */
export function buildChain(certificates: readonly Certificate[]): CertificateChain {
  const unique = withoutDuplicates(certificates);
  let checks = 0;
  const joins = (lower: Piece, upper: Piece): boolean => {
    const end = lower.at(-1) ?? lower[0];
    if (!equalBytes(end.issuerDer, upper[0].subjectDer)) return false;
    checks += 1;
    if (checks > MAX_SIGNATURE_CHECKS) throw chainError('X509_LIMIT', 'too many certificates have the same name');
    return isIssuedBy(end, upper[0]);
  };
  const pieces = unique.map((certificate): Piece => [certificate]);
  let last = pieces.pop();
  while (pieces.length > 0 && last !== undefined) {
    const piece = last;
    const index = pieces.findIndex((other) => joins(other, piece) || joins(piece, other));
    const other = pieces[index];
    if (other === undefined) {
      const state = 'neither issued nor was issued by the others';
      throw chainError('X509_CHAIN', `the certificate "${piece[0].subjectText}" ${state}`);
    }
    pieces[index] = joins(other, piece) ? [...other, ...piece] : [...piece, ...other];
    last = pieces.pop();
  }
  if (last === undefined) throw chainError('X509_CHAIN', 'there are no certificates');
  return split(last);
}

/** The PEM of the certificates in their order, ended by a newline. */
export function encodeChain(certificates: readonly Certificate[]): string {
  return certificates.map(({ pem }) => pem).join('');
}

function withoutDuplicates(certificates: readonly Certificate[]): Certificate[] {
  const byFingerprint = new Map(certificates.map((certificate) => [certificate.sha256Hex, certificate]));
  if (byFingerprint.size > MAX_CERTIFICATES) {
    throw chainError('X509_LIMIT', `there are more than ${MAX_CERTIFICATES} certificates`);
  }
  // Sorted as in cert-manager, so that the result is a matter of the set, also when a root was renewed under its key
  return [...byFingerprint.values()].toSorted((a, b) => Buffer.compare(a.der, b.der));
}

function split(ordered: Piece): CertificateChain {
  const [leaf] = ordered;
  const top = ordered.at(-1) ?? leaf;
  // Of a self-signed certificate that was renewed, none is sent; the leaf is, even when it is its own root
  const chain = ordered.filter((certificate) => certificate === leaf || !certificate.isSelfSigned);
  return ordered.length > 1 || top.isSelfSigned ? { leaf, chain, ca: top } : { leaf, chain };
}

function chainError(code: X509ErrorCode, state: string): X509Error {
  return new X509Error(code, 'chain', `Cannot build chain: ${state}`);
}
