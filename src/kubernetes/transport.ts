/**
 * Sends one request to the API server and hands back its answer if that is a success; everything else is a
 * `KubernetesError`. Adds credentials, and once more on a 401; waits and sends again when the server asks for that
 * (`Retry-After` on 429 and 5xx: the request was not processed); repeats a GET whose connection broke
 * (client-go `rest/with_retry.go`). Deadlines are the caller's, through the signal.
 */
import type { Dispatcher } from 'undici';
import { errors } from 'undici';
import {
  type Clock,
  type Counter,
  type Histogram,
  type Logger,
  type Registry,
  TimeoutError,
} from '../platform/index.ts';
import { readBody } from './body.ts';
import type { ClusterConfig } from './cluster-config.ts';
import { Connections } from './connections.ts';
import { type Credential, type CredentialSource, createCredentialSource } from './credentials.ts';
import { errorFromAnswer, isResourceVersionTooLarge, KubernetesError } from './errors.ts';
import { sharedCounter, sharedHistogram } from './metrics.ts';

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, from the server's base URL on. */
  readonly path: string;
  /** Completes "Cannot …" in error messages. */
  readonly doing: string;
  readonly body?: string;
  readonly contentType?: string;
}

export type Answer = Dispatcher.ResponseData;

const MAX_ATTEMPTS = 10;
const MAX_ERROR_BYTES = 1 << 20;
const DURATION_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];

export class Transport {
  readonly #clock: Clock;
  readonly #credentials: CredentialSource;
  readonly #connections: Connections;
  readonly #origin: string;
  readonly #pathPrefix: string;
  readonly #host: string;
  readonly #userAgent: string;
  readonly #requests: Counter<'code' | 'method' | 'host'>;
  readonly #durations: Histogram<'verb' | 'host'>;

  constructor(
    deps: { readonly clock: Clock; readonly log: Logger; readonly registry: Registry },
    config: ClusterConfig,
    options: { readonly userAgent: string },
  ) {
    const url = new URL(config.server);
    this.#clock = deps.clock;
    this.#origin = url.origin;
    this.#pathPrefix = url.pathname === '/' ? '' : url.pathname;
    this.#host = url.host;
    this.#userAgent = options.userAgent;
    this.#credentials = createCredentialSource(deps, config.authentication);
    this.#connections = new Connections(deps, config);
    this.#requests = sharedCounter(
      deps.registry,
      'rest_client_requests_total',
      'Number of HTTP requests, partitioned by status code, method, and host.',
      ['code', 'method', 'host'],
    );
    this.#durations = sharedHistogram(
      deps.registry,
      'rest_client_request_duration_seconds',
      'Request latency in seconds until the headers of the answer. Broken down by verb, and host.',
      { labels: ['verb', 'host'], buckets: DURATION_BUCKETS },
    );
  }

  /**
   * The answer, with its body still to be read: whoever gets it must read it to its end or abort the signal.
   * @throws KubernetesError, or the signal's reason (as KUBERNETES_TIMEOUT when that is a deadline)
   */
  async send(call: Call, signal: AbortSignal): Promise<Answer> {
    let mayRenew = true;
    let mayReconnect = call.method === 'GET';
    for (let attempt = 1; ; attempt++) {
      const credential = await this.#credentials.current(signal);
      let answer: Answer;
      try {
        answer = await this.#sendOnce(call, credential, signal);
      } catch (error) {
        if (signal.aborted || !mayReconnect || !isBrokenConnection(error)) throw toError(call.doing, error, signal);
        mayReconnect = false;
        continue; // The server closed an idle connection just as we sent: once more, on a new one.
      }
      if (answer.statusCode < 300) return answer;
      const error = await this.#readError(call, answer, signal);
      if (error.status === 401 && mayRenew && this.#credentials.refuse(credential)) {
        mayRenew = false;
        continue; // The token has been rotated under us: once more, with a new one.
      }
      // A version from a history that is no more does not come while we wait: only another list helps.
      const isHopeless = error.retryAfterMs === undefined || isResourceVersionTooLarge(error);
      if (isHopeless || attempt === MAX_ATTEMPTS) throw error;
      try {
        await this.#clock.sleep(error.retryAfterMs, { signal });
      } catch {
        throw signal.reason instanceof TimeoutError ? error : signal.reason; // The server's word says more than ours.
      }
    }
  }

  async close(): Promise<void> {
    this.#credentials.close();
    await this.#connections.close();
  }

  async #sendOnce(call: Call, credential: Credential, signal: AbortSignal): Promise<Answer> {
    const { method, path, body, contentType } = call;
    const agent = await this.#connections.agent(credential.clientCertificate);
    const startMs = this.#clock.monotonicMs();
    try {
      const answer = await agent.request({
        origin: this.#origin,
        path: this.#pathPrefix + path,
        method,
        signal,
        headers: {
          accept: 'application/json',
          'user-agent': this.#userAgent,
          ...(credential.token === undefined ? {} : { authorization: `Bearer ${credential.token}` }),
          ...(body === undefined ? {} : { 'content-type': contentType ?? 'application/json' }),
        },
        body: body ?? null,
      });
      this.#requests.inc({ code: String(answer.statusCode), method, host: this.#host });
      return answer;
    } catch (error) {
      this.#requests.inc({ code: '<error>', method, host: this.#host });
      if (!signal.aborted) this.#connections.distrust();
      throw error;
    } finally {
      this.#durations.observe({ verb: method, host: this.#host }, (this.#clock.monotonicMs() - startMs) / 1000);
    }
  }

  async #readError({ doing }: Call, answer: Answer, signal: AbortSignal): Promise<KubernetesError> {
    const { statusCode, headers, body } = answer;
    const retryAfter = headers['retry-after'];
    const isAsked = statusCode === 429 || statusCode >= 500;
    const retryAfterMs = isAsked && /^\d{1,6}$/.test(String(retryAfter)) ? Number(retryAfter) * 1000 : undefined;
    try {
      const text = await readBody(body, { doing, maxBytes: MAX_ERROR_BYTES });
      return errorFromAnswer(doing, statusCode, text, retryAfterMs);
    } catch (error) {
      if (signal.aborted) throw toError(doing, error, signal);
      return errorFromAnswer(doing, statusCode, '', retryAfterMs); // The status is known, its text is lost.
    }
  }
}

/** What a failure of sending or reading is to the caller; an abort stays the signal's reason unless it is a deadline. */
export function toError(doing: string, error: unknown, signal: AbortSignal): Error {
  if (signal.aborted && !(signal.reason instanceof TimeoutError)) return signal.reason as Error;
  if (error instanceof KubernetesError) return error;
  if (signal.aborted) {
    return new KubernetesError('KUBERNETES_TIMEOUT', `Cannot ${doing}: no answer in time`, { cause: signal.reason });
  }
  const { code, message } = error as NodeJS.ErrnoException;
  const why = message === '' || message === undefined ? (code ?? 'connection failed') : message;
  return new KubernetesError('KUBERNETES_CONNECTION', `Cannot ${doing}: ${why}`, { cause: error });
}

function isBrokenConnection(error: unknown): boolean {
  if (error instanceof errors.SocketError) return true;
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ECONNRESET' || code === 'EPIPE';
}
