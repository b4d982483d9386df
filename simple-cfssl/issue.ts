/**
 * From a request to its certificate, by the rules of CFSSL's local signer (cloudflare/cfssl v1.7.1: signer/local/local.go,
 * signer/signer.go), and with extensions in the order in which Go's crypto/x509 writes them.
 */
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { type CertificateSigningRequest, encodePem, parseCsr, verifyCsr } from '../src/x509/index.ts';
import { type Authority, signTemplate } from './authority.ts';
import { decodePem } from './go/pem.ts';
import { roundToMinute } from './go/time.ts';
import type { Profile } from './profile.ts';
import type { SignRequest } from './requests.ts';
import { SigningError } from './signing-error.ts';
import { encodeSubject, groupSubject, overrideSubject, type Subject } from './subject.ts';
import { encodeNames, namesOfCsr, namesOfHosts, type SubjectNames } from './subject-names.ts';
import { resolveUsages } from './usages.ts';
import {
  AuthorityInfoAccessExtension,
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  CertificatePolicyExtension,
  CRLDistributionPointsExtension,
  ExtendedKeyUsageExtension,
  Extension,
  KeyUsagesExtension,
  Pkcs10CertificateRequest,
  SubjectKeyIdentifierExtension,
} from './x509-library.ts';

const OID = {
  basicConstraints: '2.5.29.19',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
  ctPoison: '1.3.6.1.4.1.11129.2.4.3',
  delegationUsage: '1.3.6.1.4.1.44363.44',
} as const;

/** What `copy_extensions` leaves to the CA. */
const CA_MANAGED: ReadonlySet<string> = new Set([
  ...[14, 15, 17, 18, 19, 30, 31, 32, 35, 37].map((arc) => `2.5.29.${arc}`),
  '1.3.6.1.5.5.7.1.1',
]);

const DER_NULL = Buffer.from('0500', 'hex');

/**
 * Issues the certificate, in PEM.
 * @throws SigningError, X509Error, or an error of the X.509 library for what cannot be encoded
 */
export async function issueCertificate(
  authority: Authority,
  profile: Profile,
  request: SignRequest,
  nowMs: number,
): Promise<string> {
  const csr = readCsr(request.certificate_request);
  const requested = readRequestedExtensions(csr);
  const whitelist = profile.csrWhitelist;
  if (whitelist?.PublicKey === false) throw new SigningError('the profile does not let the public key through');
  if (whitelist === undefined) assertMayBeCa(requested, profile, authority);

  const names = request.hosts === null ? namesOfCsr(csr.names, whitelist) : namesOfHosts(request.hosts);
  const subject = overrideSubject(
    request.subject,
    groupSubject(whitelist?.Subject === false ? [] : csr.subject.flat()),
  );
  assertWhitelisted(profile.nameWhitelist, subject, names);
  const extra = collectExtraExtensions(profile, request, whitelist === undefined ? requested : []);

  const notBeforeMs = request.NotBefore ?? profile.notBeforeMs ?? roundToMinute(nowMs) - profile.backdateMs;
  const notAfterMs = request.NotAfter ?? profile.notAfterMs ?? notBeforeMs + profile.expiryMs;
  const encodedSubject = encodeSubject(subject);
  // RFC 5280, 4.2.1.2, method 1: SHA-1 of the key's bits
  const keyId = await SubjectKeyIdentifierExtension.create(csr.spkiDer);
  const context = { authority, profile, request, names, extra, keyId };
  return signTemplate(authority, {
    serialHex: chooseSerial(profile, request),
    subject: encodedSubject,
    spkiDer: csr.spkiDer,
    notBeforeMs,
    notAfterMs,
    extensions: buildExtensions(context, encodedSubject.toJSON().length === 0),
  });
}

function readCsr(pem: string): CertificateSigningRequest {
  const block = decodePem(pem);
  if (block === undefined) throw new SigningError('there is no PEM block');
  if (!/^(?:NEW )?CERTIFICATE REQUEST$/.test(block.type)) throw new SigningError('not a csr');
  const csr = parseCsr(encodePem('CERTIFICATE REQUEST', block.bytes));
  if (csr.publicKey.curve === 'P-224') verifyP224(csr);
  else verifyCsr(csr);
  return csr;
}

/** Go verifies this curve too, which `verifyCsr` does not. */
function verifyP224({ spkiDer, signatureAlgorithm, signedDer, signature }: CertificateSigningRequest): void {
  const key = createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
  if (!verify(signatureAlgorithm.hash, signedDer, key, signature)) throw new SigningError('the signature is wrong');
}

/** The extensions of the CSR as they are, which `parseCsr` does not keep. */
function readRequestedExtensions(csr: CertificateSigningRequest): readonly Extension[] {
  return new Pkcs10CertificateRequest(csr.der).extensions;
}

/** Only a CSR that asks to be a CA is looked at: with a profile for CAs, every other one becomes a CA unasked. */
function assertMayBeCa(requested: readonly Extension[], profile: Profile, authority: Authority): void {
  const asked = requested.find(({ type }) => type === OID.basicConstraints);
  if (asked === undefined) return;
  const { ca, pathLength } = new BasicConstraintsExtension(asked.rawData);
  if (!ca) {
    if (!profile.isCa && pathLength !== undefined) throw new SigningError('only CAs are allowed to specify MaxPathLen');
    return;
  }
  if (!profile.isCa) throw new SigningError('local signer policy disallows issuing CA certificate');
  if (authority.pathLength === 0) throw new SigningError('local signer certificate disallows issuing CA certificate');
  if (authority.pathLength !== undefined && pathLength !== undefined && pathLength >= authority.pathLength) {
    throw new SigningError('local signer certificate disallows CA MaxPathLen extending');
  }
}

/** Addresses are not looked at. */
function assertWhitelisted(
  whitelist: RegExp | undefined,
  { common }: Subject,
  { dns, email, uri }: SubjectNames,
): void {
  if (whitelist === undefined) return;
  const refused = [...common.CN, ...dns, ...email, ...uri].find((name) => !whitelist.test(name));
  if (refused !== undefined) throw new SigningError(`"${refused}" does not match the name whitelist`);
}

function chooseSerial(profile: Profile, request: SignRequest): string {
  if (!profile.clientProvidesSerialNumbers) {
    const serial = randomBytes(20);
    // As an integer it must not be negative
    serial.writeUInt8(serial.readUInt8(0) & 0x7f, 0);
    return serial.toString('hex');
  }
  if (request.serial === undefined) throw new SigningError('missing serial number in request');
  if (request.serial < 0n) throw new SigningError('serial number must be positive');
  const hex = request.serial.toString(16);
  return hex.padStart(hex.length + (hex.length % 2), '0');
}

/** Extensions that stand for themselves: of the CSR, of the request, of the profile. They win over computed ones. */
function collectExtraExtensions(profile: Profile, request: SignRequest, ofCsr: readonly Extension[]): Extension[] {
  const copied = ofCsr.filter(
    ({ type }) => type === OID.delegationUsage || (profile.copyExtensions && !CA_MANAGED.has(type)),
  );
  const asked = (request.extensions ?? []).map(({ id, critical, value }) => {
    if (!profile.allowedExtensions.has(id)) throw new SigningError(`the profile does not allow extension ${id}`);
    if (!/^(?:[0-9a-f]{2})*$/i.test(value)) throw new SigningError(`the value of extension ${id} is not hexadecimal`);
    return new Extension(id, critical, Buffer.from(value, 'hex'));
  });
  return [
    ...copied,
    ...asked,
    ...(profile.policies.length > 0 ? [new CertificatePolicyExtension([...profile.policies])] : []),
    ...(profile.ocspNoCheck ? [new Extension(OID.ocspNoCheck, false, DER_NULL)] : []),
    ...(request.ReturnPrecert ? [new Extension(OID.ctPoison, true, DER_NULL)] : []),
  ];
}

interface ExtensionContext {
  readonly authority: Authority;
  readonly profile: Profile;
  readonly request: SignRequest;
  readonly names: SubjectNames;
  readonly extra: readonly Extension[];
  readonly keyId: Extension;
}

function buildExtensions(context: ExtensionContext, subjectIsEmpty: boolean): Extension[] {
  const { authority, profile, request, extra } = context;
  const { keyUsages, extended } = resolveUsages(profile.usages ?? []);
  if (keyUsages === undefined && extended.length === 0) throw new SigningError('the profile has no key usages');
  // CFSSL takes the names from certificates of CAs, but for the addresses
  const names = profile.isCa ? { ...context.names, dns: [], email: [], uri: [] } : context.names;
  const hasNames = Object.values(names).some((values) => values.length > 0);
  const crlUrl = request.crl_override || profile.crlUrl;
  const { ocspUrl, issuerUrls } = profile;
  const computed = [
    keyUsages !== undefined && new KeyUsagesExtension(keyUsages, true),
    extended.length > 0 && new ExtendedKeyUsageExtension([...extended]),
    new BasicConstraintsExtension(profile.isCa, profile.isCa ? profile.maxPathLength : undefined, true),
    context.keyId,
    authority.keyId !== undefined && new AuthorityKeyIdentifierExtension(authority.keyId),
    (ocspUrl !== '' || issuerUrls.length > 0) &&
      new AuthorityInfoAccessExtension({ ...(ocspUrl !== '' && { ocsp: [ocspUrl] }), caIssuers: [...issuerUrls] }),
    hasNames && encodeNames(names, subjectIsEmpty),
    crlUrl !== '' && new CRLDistributionPointsExtension([crlUrl]),
  ].filter((extension) => extension !== false);
  const overridden = new Set(extra.map(({ type }) => type));
  return [...computed.filter(({ type }) => !overridden.has(type)), ...extra];
}
