/**
 * The certificate of a request that somebody made look unfinished again. It is in the status still, so it is told again,
 * not signed again: whoever undoes our condition over and over must not cost a certificate each time.
 */
import type { CertificateRequest } from '../api/index.ts';
import { checkIssued, parseCertificates, parseCsr, X509Error } from '../x509/index.ts';
import type { FinalOutcome } from './final-outcomes.ts';
import type { ReadyIssuer } from './issuer-session.ts';

/** That end of the request; undefined when there is no certificate, or one that would not be handed out if it were new. */
export function findIssued(
  { spec, status }: CertificateRequest,
  { signer, configuration }: ReadyIssuer,
  nowMs: number,
): FinalOutcome | undefined {
  const certificatePem = decode(status?.certificate);
  if (certificatePem === '') return undefined;
  try {
    const csr = parseCsr(decode(spec.request));
    const [certificate] = parseCertificates(certificatePem);
    if (certificate === undefined) return undefined;
    const chain = [signer, ...configuration.chain];
    const requested = { isCa: spec.isCA ?? false };
    if (checkIssued({ csr, certificate, chain, nowMs, requested }).errors.length > 0) return undefined;
  } catch (error) {
    if (error instanceof X509Error) return undefined; // rubbish of somebody else's
    throw error;
  }
  const caPem = decode(status?.ca);
  return { state: 'Issued', certificatePem, caPem: caPem === '' ? undefined : caPem };
}

function decode(base64 = ''): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
