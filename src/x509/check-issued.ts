/**
 * Whether a certificate is what was asked for. CFSSL's profiles decide what a certificate holds, and a wrong profile or
 * label is answered with a certificate all the same, so nothing is handed out unchecked.
 *
 * Messages hold nothing that changes from one try to the next (serials, the times of this certificate), since they end
 * up in conditions.
 */
import { equalBytes } from './bytes.ts';
import { type Certificate, isIssuedBy } from './certificate.ts';
import type { CertificateSigningRequest } from './csr.ts';
import { printable } from './errors.ts';
import { describeName, nameKey, type SubjectAltName } from './general-names.ts';
import type { DistinguishedName } from './name.ts';
import { usageKey } from './usages.ts';

export type DifferenceCode =
  /** The certificate is for another key. */
  | 'PublicKey'
  /** It lacks names that the CSR asks for, or has others. */
  | 'Names'
  /** It is a CA and was not asked to be one. */
  | 'CaFlag'
  /** It is no CA and was asked to be one: the request wants what this issuer does not give. */
  | 'NotCa'
  /** It is not valid now. */
  | 'Validity'
  /** None of the known CA certificates signed it, or the one that did is not valid now. */
  | 'Signer'
  /** It is a precertificate. */
  | 'Poison';

export type WarningCode =
  /** Another subject than the CSR's. */
  | 'Subject'
  /** The subject's parts in another order or grouping: CFSSL sorts them (a literal subject). */
  | 'SubjectOrder'
  /** Usages that were asked for are missing. */
  | 'MissingUsages'
  /** It has usages that were not asked for. */
  | 'ExtraUsages'
  /** It ends sooner than asked. */
  | 'ShortValidity'
  /** It ends later than asked. */
  | 'LongValidity'
  /** cert-manager renews it at once, and its successor too. */
  | 'RenewalLoop'
  /** It ends after a certificate of its chain. */
  | 'OutlivesCa';

export interface Difference<Code extends string = DifferenceCode> {
  readonly code: Code;
  /** A sentence for people, without a full stop. */
  readonly message: string;
}

export interface IssuedCheck {
  readonly csr: CertificateSigningRequest;
  readonly certificate: Certificate;
  /** CA certificates in any order, the signer among them; the certificate itself may be there too. */
  readonly chain: readonly Certificate[];
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** What was asked for outside of the CSR. What is left out is as the CSR says, or not compared. */
  readonly requested?: RequestedProperties;
}

export interface RequestedProperties {
  readonly isCa?: boolean;
  /** Key usages and extended key usages together, in cert-manager's words (`spec.usages`), or OIDs. */
  readonly usages?: readonly string[];
  readonly durationMs?: number;
  /** The end that CFSSL was asked for, if it was. */
  readonly notAfterMs?: number;
}

export interface CheckResult {
  /** The certificate must not be handed out. In the order of `DifferenceCode`. */
  readonly errors: readonly Difference[];
  /** It serves, but differs from what was asked. In the order of `WarningCode`. */
  readonly warnings: readonly Difference<WarningCode>[];
}

/** CFSSL backdates by 5 min; a certificate that begins later than this tolerance shows a wrong clock. */
const CLOCK_SKEW_MS = 5 * 60_000;
/** cert-manager's tolerance when it compares durations; CFSSL rounds to the minute. */
const DURATION_TOLERANCE_MS = 30_000;
const MAX_LISTED = 10;

/** Compares an issued certificate with its CSR, its signer and the time. */
export function checkIssued(check: IssuedCheck): CheckResult {
  const { csr, certificate, nowMs } = check;
  const requested = check.requested ?? {};
  const issuers = check.chain.filter(({ sha256Hex }) => sha256Hex !== certificate.sha256Hex);
  return {
    errors: [
      ...checkPublicKey(csr, certificate),
      ...checkNames(csr, certificate),
      ...checkCaFlag(certificate, requested.isCa ?? csr.requestsCa),
      ...checkValidity(certificate, nowMs),
      ...checkSigner(certificate, issuers, nowMs),
      ...checkPoison(certificate),
    ],
    warnings: [
      ...compareSubject(csr, certificate),
      ...compareUsages(certificate, requested.usages ?? [...csr.keyUsages, ...csr.extendedKeyUsages]),
      ...compareDuration(certificate, requested),
      ...checkRenewal(certificate, nowMs),
      ...compareWithChain(certificate, issuers),
    ],
  };
}

function checkPublicKey(csr: CertificateSigningRequest, certificate: Certificate): Difference[] {
  if (equalBytes(csr.spkiDer, certificate.spkiDer)) return [];
  return [{ code: 'PublicKey', message: 'The certificate is for another public key than the CSR' }];
}

/** Names as sets: CFSSL keeps them, but in another order; an extra one is as bad as a missing one. */
function checkNames(csr: CertificateSigningRequest, certificate: Certificate): Difference[] {
  const missing = namesOnlyIn(csr.names, certificate.names);
  const extra = namesOnlyIn(certificate.names, csr.names);
  if (missing.length === 0 && extra.length === 0) return [];
  const asked = missing.length > 0 && `the CSR asks for ${list(missing)}, which the certificate lacks`;
  const added = extra.length > 0 && `the certificate has ${list(extra)}, which the CSR does not ask for`;
  const message = [asked, added].filter((part) => part !== false).join('; ');
  return [{ code: 'Names', message: message.replace(/^t/, 'T') }];
}

function namesOnlyIn(names: readonly SubjectAltName[], others: readonly SubjectAltName[]): string[] {
  const known = new Set(others.map(nameKey));
  return names.filter((name) => !known.has(nameKey(name))).map(describeName);
}

function checkCaFlag(certificate: Certificate, asksForCa: boolean): Difference[] {
  if (certificate.isCa === asksForCa) return [];
  return certificate.isCa
    ? [{ code: 'CaFlag', message: 'The certificate is a CA, which the request does not ask for' }]
    : [{ code: 'NotCa', message: 'The request asks for a CA, the certificate is none' }];
}

function checkValidity({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): Difference[] {
  // RFC 5280, 4.1.2.5: both ends belong to the validity
  if (notAfterMs < nowMs) return [{ code: 'Validity', message: 'The certificate has already expired' }];
  if (notBeforeMs <= nowMs + CLOCK_SKEW_MS) return [];
  return [{ code: 'Validity', message: "The certificate is not valid yet: the CA's clock is ahead of ours" }];
}

function checkSigner(certificate: Certificate, issuers: readonly Certificate[], nowMs: number): Difference[] {
  const signers = issuers.filter((issuer) => isIssuedBy(certificate, issuer));
  const [first] = signers;
  if (first === undefined) {
    const known = issuers.length === 0 ? 'none is known' : list(issuers.map(({ subjectText }) => `"${subjectText}"`));
    return [{ code: 'Signer', message: `The certificate was signed by none of the known CA certificates: ${known}` }];
  }
  // A CA that was renewed under the same key is known by two certificates, and one that is valid is enough
  if (signers.some((signer) => signer.notBeforeMs <= nowMs + CLOCK_SKEW_MS && signer.notAfterMs >= nowMs)) return [];
  return [{ code: 'Signer', message: `The CA certificate "${first.subjectText}" is not valid now` }];
}

function checkPoison({ hasCtPoison }: Certificate): Difference[] {
  return hasCtPoison ? [{ code: 'Poison', message: 'The certificate is a precertificate (CT poison)' }] : [];
}

/** First as multisets of attributes, then with their order and grouping: CFSSL keeps neither. */
function compareSubject(csr: CertificateSigningRequest, certificate: Certificate): Difference<WarningCode>[] {
  const asked = csr.subject.map(rdnTexts);
  const issued = certificate.subject.map(rdnTexts);
  if (asked.flat().toSorted().join('\n') !== issued.flat().toSorted().join('\n')) {
    const message = `The CSR asks for subject ${listSorted(asked)}, the certificate has ${listSorted(issued)}`;
    return [{ code: 'Subject', message }];
  }
  const [askedOrder, issuedOrder] = [asked, issued].map((rdns) => list(rdns.map((rdn) => rdn.join('+'))));
  if (askedOrder === issuedOrder) return [];
  const message = `CFSSL sorts subjects: the CSR asks for ${askedOrder}, in this order, the certificate has ${issuedOrder}`;
  return [{ code: 'SubjectOrder', message }];
}

/** Printable, hence free of line breaks; sorted, as an RDN is a set. */
function rdnTexts(rdn: DistinguishedName[number]): string[] {
  return rdn.map(({ type, value }) => `${type}=${printable(value, 200)}`).toSorted();
}

function listSorted(rdns: readonly (readonly string[])[]): string {
  return list(rdns.flat().toSorted());
}

function compareUsages(certificate: Certificate, usages: readonly string[]): Difference<WarningCode>[] {
  const asked = new Set(usages.map(usageKey));
  const issued = new Set<string>([...certificate.keyUsages, ...certificate.extendedKeyUsages]);
  const missing = [...asked].filter((usage) => !issued.has(usage));
  const extra = [...issued].filter((usage) => !asked.has(usage));
  const warnings: Difference<WarningCode>[] = [];
  if (missing.length > 0) {
    const message = `The request asks for usages ${list(missing)}, which the certificate lacks`;
    warnings.push({ code: 'MissingUsages', message });
  }
  if (extra.length > 0) {
    const message = `The certificate has usages ${list(extra)}, which the request does not ask for`;
    warnings.push({ code: 'ExtraUsages', message });
  }
  return warnings;
}

function compareDuration(certificate: Certificate, requested: RequestedProperties): Difference<WarningCode>[] {
  const { notBeforeMs, notAfterMs } = certificate;
  const sentCode = requested.notAfterMs === undefined ? undefined : codeOfExcess(notAfterMs - requested.notAfterMs);
  if (sentCode !== undefined) {
    const when = sentCode === 'ShortValidity' ? 'sooner' : 'later';
    return [{ code: sentCode, message: `The certificate ends ${when} than CFSSL was asked to have it end` }];
  }
  const { durationMs } = requested;
  const code = durationMs === undefined ? undefined : codeOfExcess(notAfterMs - notBeforeMs - durationMs);
  if (code === undefined) return [];
  const howMuch = code === 'ShortValidity' ? 'less' : 'more';
  return [{ code, message: `The certificate is valid for ${howMuch} time than the request asks for` }];
}

function codeOfExcess(excessMs: number): 'ShortValidity' | 'LongValidity' | undefined {
  if (Math.abs(excessMs) <= DURATION_TOLERANCE_MS) return undefined;
  return excessMs < 0 ? 'ShortValidity' : 'LongValidity';
}

/**
 * cert-manager renews when two thirds of the validity are over (`RenewalTime` in its `pkg/util/pki/renewaltime.go`).
 * CFSSL backdates by 5 min, so with a validity under 7.5 min that is in the past from the start, and so it is for the
 * next certificate.
 */
function checkRenewal({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): Difference<WarningCode>[] {
  const renewalMs = notBeforeMs + (2 / 3) * (notAfterMs - notBeforeMs);
  if (renewalMs > nowMs || notAfterMs < nowMs) return [];
  const message = 'Two thirds of the validity are over already, so cert-manager renews the certificate over and over';
  return [{ code: 'RenewalLoop', message: `${message}; give the profile a longer expiry` }];
}

function compareWithChain(certificate: Certificate, issuers: readonly Certificate[]): Difference<WarningCode>[] {
  const outlived = issuers.filter(({ notAfterMs }) => notAfterMs < certificate.notAfterMs);
  return outlived.map(({ subjectText, x509 }) => ({
    code: 'OutlivesCa',
    message: `The certificate outlives the CA certificate "${subjectText}", which ends at ${x509.validTo}`,
  }));
}

function list(items: readonly string[]): string {
  if (items.length === 0) return '(none)';
  const rest = items.length - MAX_LISTED;
  return items.slice(0, MAX_LISTED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}
