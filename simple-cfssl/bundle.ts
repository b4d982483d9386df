/**
 * `result.bundle` as the Wikimedia fork of CFSSL adds it (its bundler/bundle.go, flavor "ubiquitous"): the chain of a new
 * certificate up to a configured root. Of `status`, which is informational, only the shape is kept.
 */
import { type Certificate, encodeChain, isIssuedBy, parseCertificates } from '../src/x509/index.ts';
import { formatTime } from './go/time.ts';
import type { Profile } from './profile.ts';

export interface Bundler {
  /** Certificates of all labels. */
  readonly intermediates: readonly Certificate[];
  readonly roots: readonly Certificate[];
}

export interface BundleContext {
  readonly profile: Pick<Profile, 'ocspUrl' | 'crlUrl'>;
  /** Go's name of the algorithm that signed the leaf: "ECDSAWithSHA256". */
  readonly signature: string;
}

/** Keys in the order of Go's maps, which is the alphabet's. */
export interface Bundle {
  readonly bundle: string;
  readonly crl_support: boolean;
  readonly crt: string;
  readonly expires: string;
  readonly hostnames: readonly string[];
  readonly issuer: string;
  readonly key: string;
  readonly key_size: number;
  readonly key_type: string;
  readonly leaf_expires: string;
  readonly ocsp: readonly string[] | null;
  readonly ocsp_support: boolean;
  readonly root: string;
  readonly signature: string;
  readonly status: object;
  readonly subject: string;
}

const DISTINGUISHED_NAMES: Readonly<Record<string, string>> = {
  CN: 'CommonName',
  SERIALNUMBER: 'SerialNumber',
  C: 'Country',
  L: 'Locality',
  ST: 'Province',
  STREET: 'StreetAddress',
  O: 'Organization',
  OU: 'OrganizationalUnit',
  POSTALCODE: 'PostalCode',
};

const CURVE_BITS: Readonly<Record<string, number>> = {
  secp224r1: 224,
  prime256v1: 256,
  secp384r1: 384,
  secp521r1: 521,
};

/** @throws Error when no chain leads to a root, or the key is of a kind that the fork's bundler does not know */
export function buildBundle(bundler: Bundler, certificatePem: string, context: BundleContext): Bundle {
  const [leaf] = parseCertificates(certificatePem);
  if (leaf === undefined) throw new Error('there is no certificate');
  const { asymmetricKeyType: keyType, asymmetricKeyDetails: details } = leaf.x509.publicKey;
  if (keyType !== 'rsa' && keyType !== 'ec') throw new Error('Private key algorithm is not RSA or ECC');
  const keySize = details?.modulusLength ?? CURVE_BITS[details?.namedCurve ?? ''] ?? 0;
  const { issuers, root } = findChain(bundler, leaf);
  const { ocspUrl, crlUrl } = context.profile;
  // The fork keeps the root when OCSP needs an issuer and there is no other
  const keepsRoot = ocspUrl !== '' && issuers.length === 0 && !leaf.isCa;
  const chain = [leaf, ...issuers, ...(keepsRoot ? [root] : [])];
  const commonNames = leaf.subject.flat().filter(({ type }) => type === 'CN');
  const dnsNames = leaf.names.filter(({ kind }) => kind === 'dns');
  return {
    bundle: encodeChain(chain).trim(),
    crl_support: crlUrl !== '',
    crt: leaf.pem.trim(),
    expires: formatTime(Math.min(...[leaf, ...issuers, root].map(({ notAfterMs }) => notAfterMs))),
    hostnames: [...new Set([...commonNames, ...dnsNames].map(({ value }) => value))],
    issuer: describeSubject(issuers[0] ?? root),
    key: '',
    key_size: keySize,
    key_type: `${keySize}-bit ${keyType === 'rsa' ? 'RSA' : 'ECDSA'}`,
    leaf_expires: formatTime(leaf.notAfterMs),
    ocsp: ocspUrl === '' ? null : [ocspUrl],
    ocsp_support: ocspUrl !== '',
    root: root.pem.trim(),
    signature: context.signature,
    status: { rebundled: false, expiring_SKIs: [], untrusted_root_stores: [], messages: [], code: 0 },
    subject: describeSubject(leaf),
  };
}

/** From the certificate that issued the leaf up to the root, which is not among them. */
function findChain(
  { intermediates, roots }: Bundler,
  leaf: Certificate,
): { issuers: Certificate[]; root: Certificate } {
  const issuers: Certificate[] = [];
  for (;;) {
    const current = issuers.at(-1) ?? leaf;
    const root = roots.find((candidate) => isIssuedBy(current, candidate));
    if (root !== undefined) return { issuers, root };
    const issuer = intermediates.find((candidate) => !issuers.includes(candidate) && isIssuedBy(current, candidate));
    if (issuer === undefined) throw new Error('certificate signed by unknown authority');
    issuers.push(issuer);
  }
}

function describeSubject({ subject }: Certificate): string {
  return subject
    .flat()
    .map(({ type, value }) => `/${DISTINGUISHED_NAMES[type] ?? ''}=${value}`)
    .join('');
}
