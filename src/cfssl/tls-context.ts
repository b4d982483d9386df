/** TLS settings of an issuer, checked when they are read rather than at the first connection. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';

import { CfsslError } from './errors.ts';

export interface TlsConfig {
  /** Whom to trust as a server, instead of Node's default roots. */
  readonly caPem?: string | undefined;
  /** Our certificate and its key, for mutual TLS; both or none. */
  readonly clientCertPem?: string | undefined;
  readonly clientKeyPem?: string | undefined;
}

/** One context for all connections. @throws CfsslError `CFSSL_INVALID_TLS`, without a word about the key's text */
export function createTlsContext({ caPem, clientCertPem, clientKeyPem }: TlsConfig): SecureContext {
  if ((clientCertPem === undefined) !== (clientKeyPem === undefined)) {
    throw invalidTls('a client certificate needs its key, and a key its certificate');
  }
  if (caPem !== undefined && !holdsCertificate(caPem)) throw invalidTls('no trusted certificate can be read');
  try {
    return createSecureContext({
      ...(caPem === undefined ? {} : { ca: caPem }),
      ...(clientCertPem === undefined ? {} : { cert: clientCertPem }),
      ...(clientKeyPem === undefined ? {} : { key: clientKeyPem }),
    });
  } catch (cause) {
    throw invalidTls('the client certificate and its key cannot be read or do not belong together', cause);
  }
}

/** OpenSSL passes over what it cannot read among the trusted; with nothing left, no server would be trusted at all. */
function holdsCertificate(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  return blocks.some(isCertificate);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

function invalidTls(reason: string, cause?: unknown): CfsslError {
  return new CfsslError('CFSSL_INVALID_TLS', { action: 'Cannot use TLS settings', reason, cause });
}
