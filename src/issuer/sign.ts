/**
 * One signing: the CSR is read and its signature checked, CFSSL signs it, the chain is completed, and the certificate
 * is compared with what was asked for. Nothing that leaves here is unchecked.
 */
import { CfsslError, type SignRequest } from '../cfssl/index.ts';
import { formatDuration } from '../platform/index.ts';
import {
  buildChain,
  type Certificate,
  type CertificateSigningRequest,
  checkIssued,
  type Difference,
  type DifferenceCode,
  describeName,
  encodeChain,
  isIssuedBy,
  parseCertificates,
  parseCsr,
  type RequestedProperties,
  verifyCsr,
  X509Error,
} from '../x509/index.ts';
import type { ReadyIssuer } from './issuer-session.ts';

/** What a request asks for, of whatever kind it is. */
export interface SigningInput extends RequestedProperties {
  readonly csrPem: string;
  readonly isCa: boolean;
  /** Whether the CSR too must say that it is for a CA: what says so beside it can be changed after the approval. */
  readonly caNeedsCsr?: boolean;
}

export type SigningOutcome =
  | {
      readonly kind: 'signed';
      /** The leaf, then its intermediates. */
      readonly certificatePem: string;
      /** The root, or the topmost CA known. */
      readonly caPem: string | undefined;
      readonly warnings: readonly string[];
      /** A bundle was asked for and did not come. */
      readonly lacksBundle: boolean;
      readonly record: AuditRecord;
    }
  /** The request can never succeed as it is. */
  | { readonly kind: 'refused'; readonly message: string; readonly record?: AuditRecord }
  /** The certificate is wrong in a way that no request causes: the issuer's. */
  | { readonly kind: 'mismatch'; readonly message: string; readonly record?: AuditRecord };

/** What the audit log tells of a certificate. */
export interface AuditRecord {
  readonly endpoint: string;
  readonly keyInUse: string;
  readonly serial: string;
  readonly sha256: string;
  readonly names: readonly string[];
  readonly notAfterMs: number;
}

/** A certificate that ends while it is being made serves nobody, and no request may make an issuer look at fault. */
const MIN_DURATION_MS = 60_000;
const BACKDATE_MS = 300_000;

/** Differences that the request brings about; every other error is the issuer's. */
const REQUEST_DIFFERENCES: ReadonlySet<DifferenceCode> = new Set(['Names', 'NotCa']);

/**
 * @throws CfsslError when CFSSL did not sign
 */
export async function sign(
  input: SigningInput,
  issuer: ReadyIssuer,
  options: { readonly signal: AbortSignal; readonly beforePost: () => void; readonly now: () => number },
): Promise<SigningOutcome> {
  const { csrPem } = input;
  let csr: CertificateSigningRequest;
  try {
    csr = parseCsr(csrPem);
    verifyCsr(csr);
  } catch (error) {
    if (error instanceof X509Error) return { kind: 'refused', message: error.message };
    throw error;
  }
  const objection = findObjection(input, csr, issuer);
  if (objection !== undefined) return { kind: 'refused', message: objection };
  const { signal, beforePost } = options;
  const signRequest = buildSignRequest(input, csr, { issuer, nowMs: options.now() });
  const answer = await issuer.client.sign(signRequest, { signal, beforePost });

  try {
    const certificate = parseLeaf(answer.certificatePem);
    const record: AuditRecord = {
      endpoint: answer.endpoint,
      keyInUse: answer.keyInUse,
      serial: certificate.serialHex,
      sha256: certificate.sha256Hex,
      names: certificate.names.map(describeName),
      notAfterMs: certificate.notAfterMs,
    };
    const trusted = await findTrusted(certificate, issuer, signal);
    const linked = linkUpwards(certificate, {
      trusted,
      others: [...parseOptional(answer.bundlePem), ...parseOptional(answer.rootPem)],
    });
    const { errors, warnings } = checkIssued({
      csr,
      certificate,
      // When nothing leads up from it, the message names whom it should lead to.
      chain: linked.length > 1 ? linked : trusted,
      nowMs: options.now(),
      requested: { ...input, ...validityOf(signRequest) },
    });
    if (errors.length > 0) return { ...judge(errors), record };
    // Usages come from CFSSL's profile alone: that it has more than a request asks for is the rule, not news.
    const { chain, ca } = buildChain(linked);
    return {
      kind: 'signed',
      certificatePem: encodeChain(chain),
      caPem: ca === undefined ? undefined : encodeChain([ca, ...otherRoots(ca, issuer)]),
      warnings: warnings.filter(({ code }) => code !== 'ExtraUsages').map(({ message }) => message),
      lacksBundle: signRequest.bundle === true && answer.bundlePem === undefined,
      record,
    };
  } catch (error) {
    if (error instanceof X509Error) return { kind: 'mismatch', message: `CFSSL's certificate: ${error.message}` };
    throw error;
  }
}

/** What keeps a readable CSR from being sent to CFSSL. */
function findObjection(
  { isCa, caNeedsCsr = false, durationMs }: SigningInput,
  csr: CertificateSigningRequest,
  { configuration }: ReadyIssuer,
): string | undefined {
  if (isCa && caNeedsCsr && !csr.requestsCa) {
    return 'An annotation asks for a CA and the CSR does not; make the CSR with the basic constraint CA:TRUE';
  }
  if (configuration.maxDurationMs !== undefined && durationMs !== undefined && durationMs < MIN_DURATION_MS) {
    return `The request asks for a validity of ${formatDuration(durationMs)}; the least is ${formatDuration(MIN_DURATION_MS)}`;
  }
  return undefined;
}

function buildSignRequest(
  { csrPem, isCa, durationMs }: SigningInput,
  csr: CertificateSigningRequest,
  { issuer: { configuration, signer }, nowMs }: { readonly issuer: ReadyIssuer; readonly nowMs: number },
): SignRequest {
  // CFSSL drops names that it does not know, and nearly all names of a CA. Sent as an extension they survive, where the
  // profile allows that.
  const hasNamesToLose = isCa || csr.names.some(({ kind }) => kind === 'other');
  const { maxDurationMs, caProfile } = configuration;
  return {
    csrPem,
    ...(isCa && caProfile !== undefined ? { profile: caProfile } : {}),
    ...(durationMs === undefined || maxDurationMs === undefined
      ? {}
      : chooseValidity(Math.min(durationMs, maxDurationMs), { nowMs, caEndsMs: signer.notAfterMs })),
    // Bundling servers issue a certificate for an Ed25519 key and then fail to bundle it.
    bundle: configuration.bundle && csr.publicKey.type !== 'ed25519',
    ...(hasNamesToLose && csr.sanExtension !== undefined ? { sanExtension: csr.sanExtension } : {}),
  };
}

/**
 * Begin and end to ask for. Both, since CFSSL would round the begin by itself and so miss the duration by up to 5 min,
 * more than cert-manager tolerates; it sets no limit to either. Backdated as CFSSL does it, but a short certificate less.
 */
function chooseValidity(
  durationMs: number,
  { nowMs, caEndsMs }: { readonly nowMs: number; readonly caEndsMs: number },
): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const notBeforeMs = wholeSeconds(nowMs - Math.min(BACKDATE_MS, durationMs / 10));
  return { notBeforeMs, notAfterMs: wholeSeconds(Math.min(notBeforeMs + durationMs, caEndsMs)) };
}

function wholeSeconds(epochMs: number): number {
  return Math.floor(epochMs / 1000) * 1000;
}

function validityOf({ notAfterMs }: SignRequest): { readonly notAfterMs?: number } {
  return notAfterMs === undefined ? {} : { notAfterMs };
}

/**
 * Whom a certificate of this issuer may be signed by: the CA certificates of its spec, and the signer that CFSSL told at
 * the last check. When none of them signed it, CFSSL is asked again: its CA may have been replaced since.
 */
async function findTrusted(
  certificate: Certificate,
  issuer: ReadyIssuer,
  signal: AbortSignal,
): Promise<readonly Certificate[]> {
  const known = [...issuer.configuration.chain, issuer.signer];
  if (known.some((candidate) => isIssuedBy(certificate, candidate))) return known;
  try {
    const signer = await issuer.askForSigner(signal);
    return known.some(({ sha256Hex }) => sha256Hex === signer.sha256Hex) ? known : [...known, signer];
  } catch (error) {
    if (error instanceof CfsslError) return known; // then it is a mismatch, until a check tells of the new CA
    throw error;
  }
}

/** The other roots of the spec: while a CA is being replaced, clients have to trust the old and the new. */
function otherRoots(ca: Certificate, { configuration }: ReadyIssuer): readonly Certificate[] {
  return configuration.chain.filter(({ isSelfSigned, sha256Hex }) => isSelfSigned && sha256Hex !== ca.sha256Hex);
}

function judge(errors: readonly Difference[]): { readonly kind: 'refused' | 'mismatch'; readonly message: string } {
  const issuerErrors = errors.filter(({ code }) => !REQUEST_DIFFERENCES.has(code));
  const message = (issuerErrors.length > 0 ? issuerErrors : errors).map((error) => error.message).join('; ');
  return issuerErrors.length > 0 ? { kind: 'mismatch', message } : { kind: 'refused', message };
}

function parseLeaf(pem: string): Certificate {
  const [leaf] = parseCertificates(pem);
  if (leaf === undefined) throw new Error('A PEM without a certificate was parsed');
  return leaf;
}

/** A bundle is a convenience of the server's: one that cannot be read is as good as none. */
function parseOptional(pem: string | undefined): readonly Certificate[] {
  if (pem === undefined || pem === '') return [];
  try {
    return parseCertificates(pem);
  } catch (error) {
    if (error instanceof X509Error) return [];
    throw error;
  }
}

/**
 * The leaf and whatever leads up from it, as far as it goes. Its own issuer must be among the trusted; what the answer
 * brought along only helps to go on from there.
 */
function linkUpwards(
  leaf: Certificate,
  { trusted, others }: { readonly trusted: readonly Certificate[]; readonly others: readonly Certificate[] },
): readonly Certificate[] {
  const linked = [leaf];
  for (let top = leaf; !top.isSelfSigned; ) {
    const candidates = top === leaf ? trusted : [...others, ...trusted];
    const next = candidates.find((candidate) => !linked.includes(candidate) && isIssuedBy(top, candidate));
    if (next === undefined) break;
    linked.push(next);
    top = next;
  }
  return linked;
}
