/**
 * One POST to one endpoint over a pool of keep-alive connections. Redirects are not followed, the answer is bounded, and
 * the wait ends with the deadline or the caller's signal even while the connection is still being made. What fails before
 * the first byte of the request was written is told apart from what fails after: only the former proves that CFSSL did nothing.
 */
import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { type Dispatcher, Pool } from 'undici';

import { type Clock, withTimeout } from '../platform/index.ts';

import type { AnswerHeaders } from './answers.ts';
import type { Endpoint } from './endpoints.ts';
import { CfsslError } from './errors.ts';
import { toCfsslError } from './network-errors.ts';
import { API_PREFIX } from './wire.ts';

export interface TlsConfig {
  /** Whom to trust as a server, instead of Node's default roots. */
  readonly caPem?: string | undefined;
  /** Our certificate and its key, for mutual TLS; both or none. */
  readonly clientCertPem?: string | undefined;
  readonly clientKeyPem?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly body: string;
}

export interface PostOptions {
  readonly signal: AbortSignal;
  /** Runs when the connection stands, right before the first byte is written; what it throws stops the request. */
  readonly beforePost?: (() => void) | undefined;
}

export interface Transport {
  /** @throws CfsslError, or what `beforePost` threw */
  post(call: 'authsign' | 'info', body: Buffer, options: PostOptions): Promise<HttpAnswer>;
  /** Waits for requests in flight, then closes every connection. */
  close(): Promise<void>;
}

export interface TransportConfig {
  readonly secureContext: SecureContext;
  /** For one POST as a whole. */
  readonly timeoutMs: number;
  /** For name resolution, TCP and TLS. */
  readonly connectTimeoutMs: number;
}

const MAX_ANSWER_BYTES = 1 << 20;
/** Shorter than what proxies allow as a rule, so that a POST seldom meets a connection that is being closed. */
const KEEP_ALIVE_MS = 30_000;
/** The caller limits its own POSTs; this is the limit if it does not. */
const MAX_CONNECTIONS = 16;

/**
 * Checked once, then shared by all connections. @throws CfsslError `CFSSL_INVALID_TLS`
 */
export function createTlsContext({ caPem, clientCertPem, clientKeyPem }: TlsConfig): SecureContext {
  const action = 'Cannot use TLS settings';
  if ((clientCertPem === undefined) !== (clientKeyPem === undefined)) {
    throw new CfsslError('CFSSL_INVALID_TLS', { action, reason: 'a client certificate needs its key, and the reverse' });
  }
  // OpenSSL ignores what it cannot read among trusted certificates; with none left, no server would be trusted.
  if (caPem !== undefined && !holdsCertificates(caPem)) {
    throw new CfsslError('CFSSL_INVALID_TLS', { action, reason: 'the trusted certificates cannot be read' });
  }
  try {
    return createSecureContext({
      ...(caPem === undefined ? {} : { ca: caPem }),
      ...(clientCertPem === undefined ? {} : { cert: clientCertPem }),
      ...(clientKeyPem === undefined ? {} : { key: clientKeyPem }),
    });
  } catch (cause) {
    // No word of OpenSSL's: nothing of a private key may reach a message.
    throw new CfsslError('CFSSL_INVALID_TLS', {
      action,
      reason: 'the client certificate and its key cannot be read, or do not belong together',
      cause,
    });
  }
}

function holdsCertificates(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  return blocks.length > 0 && blocks.every((block) => URL !== undefined && new X509Certificate(block) !== undefined);
}

export function createTransport(deps: { clock: Clock }, endpoint: Endpoint, config: TransportConfig): Transport {
  throw new Error('todo');
}
