/**
 * What a signing needs, in memory: CSRs, a CA's certificates for them, an issuer that may sign, and a CFSSL that answers
 * as told. Everything is valid around `NOW_MS`.
 */
import {
  CFSSL_ERRORS,
  type CfsslClient,
  CfsslError,
  type CfsslErrorCode,
  type EndpointState,
  type InfoAnswer,
  type ProbeAnswer,
  parseAuthKey,
  type SignAnswer,
  type SignOptions,
  type SignRequest,
} from '../../src/cfssl/index.ts';
import type { IssuerConfiguration } from '../../src/issuer/configuration.ts';
import type { ReadyIssuer } from '../../src/issuer/issuer-session.ts';
import { type Certificate, encodePem } from '../../src/x509/index.ts';
import {
  type Authority,
  type CertificateParts,
  type CsrParts,
  certificateDer,
  csrDer,
  dns,
  newKey,
  san,
} from '../../src/x509/testing/authority.ts';

export { type Authority, authority, NOW_MS } from '../../src/x509/testing/authority.ts';

export interface Csr {
  readonly key: CsrParts['key'];
  readonly pem: string;
  /** As `spec.request` has it. */
  readonly base64: string;
}

/** A CSR for `test.example`, with a new P-256 key and no subject. */
export function newCsr(overrides: Partial<CsrParts> = {}): Csr {
  const key = overrides.key ?? newKey();
  const pem = encodePem('CERTIFICATE REQUEST', csrDer({ extensions: [san(dns('test.example'))], ...overrides, key }));
  return { key, pem, base64: Buffer.from(pem).toString('base64') };
}

/** PEM of the certificate that CFSSL should issue for it: the CSR's key and names, signed by that CA. */
export function issue(csr: Csr, issuer: Authority, overrides: Partial<CertificateParts> = {}): string {
  const parts = { key: csr.key, issuer, extensions: [san(dns('test.example'))], ...overrides };
  return encodePem('CERTIFICATE', certificateDer(parts));
}

/** What CFSSL's client gives for a certificate. */
export function signAnswer(certificatePem: string, overrides: Partial<SignAnswer> = {}): SignAnswer {
  return { certificatePem, messages: [], endpoint: 'https://ca.example', keyInUse: 'key', ...overrides };
}

/** An error of CFSSL's client; nothing was signed unless `maybeProcessed`. */
export function cfsslError(code: CfsslErrorCode, maybeProcessed = false): CfsslError {
  return new CfsslError(code, { action: 'Cannot sign', reason: CFSSL_ERRORS[code], details: { maybeProcessed } });
}

/** A CFSSL that gives one answer after the other to `sign()`, and nothing else. */
export class CfsslDouble implements CfsslClient {
  /** What each POST asked for; a call that was stopped before its POST is not among them. */
  readonly posts: SignRequest[] = [];
  readonly #answers: (SignAnswer | Error)[] = [];

  /** Appends answers. */
  willAnswer(...answers: readonly (SignAnswer | Error)[]): void {
    this.#answers.push(...answers);
  }

  async sign(request: SignRequest, { beforePost }: SignOptions): Promise<SignAnswer> {
    beforePost?.();
    this.posts.push(request);
    const answer = this.#answers.shift();
    if (answer === undefined) throw new Error('An unexpected POST');
    if (answer instanceof Error) throw answer;
    return await Promise.resolve(answer);
  }

  probe(): Promise<ProbeAnswer> {
    throw new Error('An unexpected probe');
  }

  findIgnoringValidity(): Promise<readonly string[]> {
    throw new Error('An unexpected probe');
  }

  info(): Promise<InfoAnswer> {
    throw new Error('An unexpected info');
  }

  endpointStates(): readonly EndpointState[] {
    return [];
  }

  async close(): Promise<void> {}
}

/** The issuer `Issuer/team/ca`, which signs with that CA. */
export function readyIssuer(
  client: CfsslClient,
  signer: Authority,
  overrides: Partial<IssuerConfiguration> = {},
): ReadyIssuer {
  const configuration: IssuerConfiguration = {
    endpoints: [{ url: 'https://ca.example', origin: 'https://ca.example', path: '' }],
    label: 'main',
    profile: undefined,
    caProfile: undefined,
    bundle: false,
    secret: 'team/ca-key',
    key: parseAuthKey('00'),
    nextKey: undefined,
    additionalData: new Uint8Array(),
    trustPem: undefined,
    clientCertificate: undefined,
    chain: [],
    maxDurationMs: undefined,
    timeoutMs: 10_000,
    healthCheckIntervalMs: 60_000,
    ...overrides,
  };
  const { certificate } = signer;
  const askForSigner = (): Promise<Certificate> => Promise.resolve(certificate);
  return { id: 'Issuer/team/ca', configuration, client, signer: certificate, askForSigner };
}
