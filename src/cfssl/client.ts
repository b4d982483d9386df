/**
 * CFSSL as one issuer uses it: its servers in order, its label, its keys. Signs, probes and asks for information; decides
 * which server to ask next. A sign request that a server may have carried out is never sent again from here.
 */
import type { Clock, Logger } from '../platform/index.ts';

import {
  type AnswerHeaders,
  type InfoResult,
  type ProbeResult,
  parseInfoAnswer,
  parseProbeAnswer,
  parseSignAnswer,
  parseValidityAnswer,
  type SignResult,
} from './answers.ts';
import { EndpointHealth, type EndpointState } from './endpoint-health.ts';
import type { Endpoint } from './endpoints.ts';
import { CfsslError, type EndpointFailure, isCfsslError, quoted } from './errors.ts';
import { type Attempt, combineErrors, toFailure, triesNext } from './failover.ts';
import {
  buildAuthenticatedRequest,
  buildInfoRequest,
  buildProbeRequest,
  buildSignRequest,
  buildValidityProbeRequest,
  type Call,
  type SignRequest,
  type Target,
} from './requests.ts';
import { createTlsContext, type TlsConfig } from './tls-context.ts';
import type { AuthKey } from './token.ts';
import { createTransport, type PostOptions, type Transport } from './transport.ts';

/** `key_next` is tried where a server refuses `key`, so that a key can be changed without an outage. */
export type KeyName = 'key' | 'key_next';

export interface CfsslClientDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** In [0, 1), for jitter. */
  readonly random: () => number;
  /** A server signed with the other key than before. */
  readonly onOtherKey?: (() => void) | undefined;
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
  /** Looked at if an endpoint is https. Default: Node's roots, no client certificate. */
  readonly tls?: TlsConfig | undefined;
  /** For one POST to one endpoint. */
  readonly timeoutMs: number;
  /** For name resolution, TCP and TLS within that. Default 3000. */
  readonly connectTimeoutMs?: number | undefined;
}

export interface CallOptions {
  readonly signal: AbortSignal;
}

export interface ProbeOptions extends CallOptions {
  /** Instead of the client's own profile. */
  readonly profile?: string | undefined;
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

/** Every call throws `CfsslError`; its `details.attempts` holds the last error of every endpoint. */
export interface CfsslClient {
  /** Has a CSR signed by the first endpoint that does it. */
  sign(request: SignRequest, options: SignOptions): Promise<SignAnswer>;
  /** Proves key, label and profile at every endpoint, and can issue nothing. Fails when no endpoint accepts. */
  probe(options: ProbeOptions): Promise<ProbeAnswer>;
  /** The endpoints that ignore the validity that a sign request asks for; those that do not answer are not told. */
  findIgnoringValidity(options: CallOptions): Promise<readonly string[]>;
  /** Asks every endpoint for the signer's certificate; proves the label, neither key nor profile. */
  info(options: CallOptions): Promise<InfoAnswer>;
  endpointStates(): readonly EndpointState[];
  /** Refuses new calls, waits for those in flight, closes every connection. */
  close(): Promise<void>;
}

const DEFAULT_CONNECT_TIMEOUT_MS = 3000;

/** @throws CfsslError `CFSSL_INVALID_TLS` */
export function createCfsslClient(deps: CfsslClientDeps, config: CfsslClientConfig): CfsslClient {
  return new FailoverClient(deps, config);
}

/** One endpoint, with what was learned about it. */
interface Server {
  readonly url: string;
  readonly transport: Transport;
  readonly health: EndpointHealth;
  /** The key that this server accepted last: it is tried first. */
  keyInUse: KeyName;
}

class FailoverClient implements CfsslClient {
  readonly #log: Logger;
  readonly #onOtherKey: (() => void) | undefined;
  readonly #config: CfsslClientConfig;
  readonly #servers: readonly Server[];
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(deps: CfsslClientDeps, config: CfsslClientConfig) {
    const { endpoints, tls, timeoutMs, connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS } = config;
    const isTlsUsed = endpoints.some(({ url }) => url.startsWith('https:'));
    const secureContext = isTlsUsed && tls !== undefined ? createTlsContext(tls) : undefined;
    this.#log = deps.log;
    this.#onOtherKey = deps.onOtherKey;
    this.#config = config;
    this.#servers = endpoints.map((endpoint) => ({
      url: endpoint.url,
      transport: createTransport(deps, { endpoint, secureContext, timeoutMs, connectTimeoutMs }),
      health: new EndpointHealth(deps, endpoint.url),
      keyInUse: 'key',
    }));
  }

  sign(request: SignRequest, options: SignOptions): Promise<SignAnswer> {
    const { label, profile, bundle } = this.#config;
    const target = { label, profile: request.profile ?? profile };
    const body = buildSignRequest(target, { ...request, bundle: request.bundle ?? bundle });
    return this.#track('sign', target, (action) =>
      this.#askInOrder(action, (server) => this.#authenticate('sign', server, body, options, parseSignAnswer)),
    );
  }

  probe(options: ProbeOptions): Promise<ProbeAnswer> {
    const { label, profile } = this.#config;
    const target = { label, profile: options.profile ?? profile };
    const body = buildProbeRequest(target);
    return this.#track('probe', target, async (action) => {
      const { first, answers, failures } = await this.#askAll(action, (server) =>
        this.#authenticate('probe', server, body, options, parseProbeAnswer),
      );
      return { ...first, accepted: answers.map(({ endpoint }) => endpoint), failures };
    });
  }

  findIgnoringValidity(options: CallOptions): Promise<readonly string[]> {
    const body = buildValidityProbeRequest(this.#config);
    return this.#track('probe', this.#config, async (action) => {
      const { answers } = await this.#askAll(action, (server) =>
        this.#authenticate('probe', server, body, options, parseValidityAnswer),
      );
      return answers.filter(({ obeys }) => !obeys).map(({ endpoint }) => endpoint);
    });
  }

  info(options: CallOptions): Promise<InfoAnswer> {
    const body = buildInfoRequest(this.#config);
    return this.#track('info', this.#config, async (action) => {
      const { first, failures } = await this.#askAll(action, async (server) => ({
        ...(await this.#ask('info', server, body, options, parseInfoAnswer)),
        endpoint: server.url,
      }));
      return { ...first, failures };
    });
  }

  endpointStates(): readonly EndpointState[] {
    return this.#servers.map(({ health }) => health.state);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    await Promise.all(this.#servers.map(({ transport }) => transport.close()));
  }

  /** Runs one call unless the client is closed, and lets `close()` know of it. */
  async #track<T>(call: Call, target: Target, work: (action: string) => Promise<T>): Promise<T> {
    const action = describeAction(call, target);
    if (this.#isClosed) throw new CfsslError('CFSSL_ABORTED', { action, reason: 'the client is closed' });
    const running = work(action);
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** The first answer, in order of preference; an error ends the search unless the next endpoint may be asked. */
  async #askInOrder<T>(action: string, ask: (server: Server) => Promise<T>): Promise<T> {
    const errors = new Map<Server, CfsslError>();
    for (const server of this.#candidates()) {
      try {
        const answer = await ask(server);
        if (errors.size > 0) this.#logFailover(server, errors);
        return answer;
      } catch (error) {
        if (!(error instanceof CfsslError)) throw error;
        errors.set(server, error);
        if (!triesNext(error)) break;
      }
    }
    const attempts = this.#servers.flatMap((server): Attempt[] => {
      const { url: endpoint, health } = server;
      const error = errors.get(server);
      if (error !== undefined) return [{ endpoint, error }];
      return health.pausedBy === undefined ? [] : [{ endpoint, error: health.pausedBy, isPast: true }];
    });
    throw combineErrors(action, attempts);
  }

  #logFailover(server: Server, errors: ReadonlyMap<Server, CfsslError>): void {
    const failed = [...errors].map(([{ url }, { code, reason }]) => ({ endpoint: url, code, reason }));
    this.#log.warn({ endpoint: server.url, failed }, 'CFSSL signed only after other endpoints had failed');
  }

  /** The endpoints that are not pausing, found out one by one; all of them when every one is. */
  *#candidates(): Generator<Server> {
    let isEmpty = true;
    for (const server of this.#servers) {
      if (!server.health.claim()) continue;
      isEmpty = false;
      yield server;
    }
    if (isEmpty) yield* this.#servers;
  }

  /** The answers of all endpoints, in order of preference; one is enough. */
  async #askAll<T>(
    action: string,
    ask: (server: Server) => Promise<T>,
  ): Promise<{ first: T; answers: readonly T[]; failures: readonly EndpointFailure[] }> {
    const answers: T[] = [];
    const attempts: Attempt[] = [];
    const outcomes = await Promise.allSettled(this.#servers.map(ask));
    for (const [index, { url: endpoint }] of this.#servers.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') answers.push(outcome.value);
      else if (outcome?.reason instanceof CfsslError) attempts.push({ endpoint, error: outcome.reason });
      else throw outcome?.reason;
    }
    const [first] = answers;
    if (first === undefined) throw combineErrors(action, attempts);
    return { first, answers, failures: attempts.map(toFailure) };
  }

  /** Asks one server with the key that it took last, and with the other one if it refuses that. */
  async #authenticate<T>(
    call: 'sign' | 'probe',
    server: Server,
    request: Buffer,
    options: PostOptions,
    parse: ParseAnswer<T>,
  ): Promise<T & { readonly endpoint: string; readonly keyInUse: KeyName }> {
    const { keys, additionalData } = this.#config;
    const askWith = async (keyInUse: KeyName, key: AuthKey) => {
      const body = buildAuthenticatedRequest(request, { key, additionalData });
      const answer = await this.#ask(call, server, body, options, parse);
      const isOther = server.keyInUse !== keyInUse;
      server.keyInUse = keyInUse;
      if (isOther && call === 'sign') this.#onOtherKey?.();
      return { ...answer, endpoint: server.url, keyInUse };
    };
    const { next } = keys;
    if (next === undefined) return await askWith('key', keys.current);
    const isNextFirst = server.keyInUse === 'key_next';
    try {
      return await (isNextFirst ? askWith('key_next', next) : askWith('key', keys.current));
    } catch (error) {
      // The token is checked before anything is done, so this request has done nothing.
      if (!isCfsslError(error, 'CFSSL_INVALID_TOKEN')) throw error;
      return await (isNextFirst ? askWith('key', keys.current) : askWith('key_next', next));
    }
  }

  /** One POST and its judgement. */
  async #ask<T>(call: Call, server: Server, body: Buffer, options: PostOptions, parse: ParseAnswer<T>): Promise<T> {
    try {
      const { status, headers, body: text } = await server.transport.post(call, body, options);
      const answer = parse(status, headers, text);
      server.health.recordAnswer(call);
      return answer;
    } catch (error) {
      if (!(error instanceof CfsslError)) throw error;
      server.health.recordError(call, error);
      throw error;
    }
  }
}

type ParseAnswer<T> = (status: number, headers: AnswerHeaders, body: string) => T;

const VERBS = { sign: 'sign', probe: 'prove the access', info: 'get information' } as const satisfies Record<
  Call,
  string
>;

function describeAction(call: Call, { label, profile }: Target): string {
  const shownProfile = profile ? ` and profile ${quoted(profile)}` : '';
  return `Cannot ${VERBS[call]} with label ${quoted(label)}${shownProfile}`;
}
