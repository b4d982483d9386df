/**
 * CFSSL as one issuer uses it: its servers in order, its label, its keys. Signs, probes and asks for information; decides
 * which server to ask next. A sign request that a server may have carried out is never sent again from here.
 */
import type { Clock, Logger } from '../platform/index.ts';

import type { InfoResult, ProbeResult, SignResult } from './answers.ts';
import type { Endpoint } from './endpoints.ts';
import type { EndpointFailure } from './errors.ts';
import type { SignRequest } from './requests.ts';
import type { AuthKey } from './token.ts';
import type { TlsConfig } from './transport.ts';

/** `key_next` is tried where a server refuses `key`, so that a key can be changed without an outage. */
export type KeyName = 'key' | 'key_next';

export interface CfsslClientDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** In [0, 1), for jitter. */
  readonly random: () => number;
}

export interface CfsslClientConfig {
  /** At least one, in the order of preference. */
  readonly endpoints: readonly Endpoint[];
  readonly label: string;
  /** Absent or "": the server's default profile. */
  readonly profile?: string | undefined;
  /** Default false. */
  readonly bundle?: boolean | undefined;
  readonly keys: { readonly current: AuthKey; readonly next?: AuthKey | undefined };
  /** Bytes that follow the request in the MAC. Default none, as every stock CFSSL wants it. */
  readonly additionalData?: Uint8Array | undefined;
  /** Default: Node's roots, no client certificate. */
  readonly tls?: TlsConfig | undefined;
  /** For one POST to one endpoint. */
  readonly timeoutMs: number;
  /** For name resolution, TCP and TLS within that. Default 3000, or `timeoutMs` if that is less. */
  readonly connectTimeoutMs?: number | undefined;
}

export interface CallOptions {
  readonly signal: AbortSignal;
}

export interface SignOptions extends CallOptions {
  /** Runs right before each POST, when the connection stands; what it throws stops the call and is thrown as it is. */
  readonly beforePost?: (() => void) | undefined;
}

export interface SignAnswer extends SignResult {
  readonly endpoint: string;
  readonly keyInUse: KeyName;
}

export interface ProbeAnswer extends ProbeResult {
  /** The first endpoint, in the order of preference, at which key, label and profile are right. */
  readonly endpoint: string;
  readonly keyInUse: KeyName;
  /** All endpoints at which they are. */
  readonly accepted: readonly string[];
  /** The others, each with its error. */
  readonly failures: readonly EndpointFailure[];
}

export interface InfoAnswer extends InfoResult {
  /** The first endpoint, in the order of preference, that answered. */
  readonly endpoint: string;
  readonly failures: readonly EndpointFailure[];
}

export interface EndpointState {
  readonly url: string;
  /** Undefined until first asked. */
  readonly reachable: boolean | undefined;
  /** Why not, nothing volatile; present when `reachable` is false. */
  readonly lastError?: string;
}

/** Every call throws `CfsslError`; its `details.attempts` holds the last error of every endpoint. */
export interface CfsslClient {
  /** Has a CSR signed by the first endpoint that does it. */
  sign(request: SignRequest, options: SignOptions): Promise<SignAnswer>;
  /** Proves key, label and profile at every endpoint, and can issue nothing. Fails when no endpoint accepts. */
  probe(options: CallOptions): Promise<ProbeAnswer>;
  /** Asks every endpoint for the signer's certificate; proves the label, neither key nor profile. */
  info(options: CallOptions): Promise<InfoAnswer>;
  endpointStates(): readonly EndpointState[];
  /** Refuses new calls, waits for those in flight, closes every connection. */
  close(): Promise<void>;
}

/** @throws CfsslError `CFSSL_INVALID_TLS` */
export function createCfsslClient(deps: CfsslClientDeps, config: CfsslClientConfig): CfsslClient {
  throw new Error('todo');
}
