/**
 * One POST to one endpoint over a pool of keep-alive connections. Redirects are not followed, the answer is bounded, and
 * the wait ends with the deadline or the caller's signal even while the connection is still being made. What fails before
 * the first byte of the request was written is told apart from what fails after it.
 */
import type { SecureContext } from 'node:tls';
import { buildConnector, type Dispatcher, Pool } from 'undici';

import { type Clock, withTimeout } from '../platform/index.ts';

import type { AnswerHeaders } from './answers.ts';
import type { Endpoint } from './endpoints.ts';
import { AnswerTooLongError, classifyNetworkError, networkError } from './network-errors.ts';
import type { Call } from './requests.ts';
import { API_PREFIX } from './wire.ts';

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
  /** @throws CfsslError when there is no answer, or what `beforePost` threw */
  post(call: Call, body: Buffer, options: PostOptions): Promise<HttpAnswer>;
  /** Closes every connection, also under requests in flight. */
  close(): Promise<void>;
}

export interface TransportConfig {
  readonly endpoint: Endpoint;
  /** Undefined: Node's defaults. */
  readonly secureContext: SecureContext | undefined;
  /** For one POST as a whole. */
  readonly timeoutMs: number;
  /** For name resolution, TCP and TLS. */
  readonly connectTimeoutMs: number;
}

const MAX_ANSWER_BYTES = 1 << 20;
/** Shorter than what proxies allow as a rule, so that a POST seldom meets a connection that is just being closed. */
const KEEP_ALIVE_MS = 30_000;
/** The caller bounds its POSTs by itself; this bounds the connections if it does not. */
const MAX_CONNECTIONS = 16;

const ENDPOINT_NAMES = { sign: 'authsign', probe: 'authsign', info: 'info' } as const satisfies Record<Call, string>;

export function createTransport({ clock }: { readonly clock: Clock }, config: TransportConfig): Transport {
  const { endpoint, timeoutMs } = config;
  const pool = new Pool(endpoint.origin, {
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect: createConnector(config),
    // One deadline covers all: `timeoutMs`.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    async post(call, body, { signal, beforePost }) {
      const exchange = new Exchange(beforePost);
      try {
        return await withTimeout(clock, { timeoutMs, signal }, (deadline) => {
          const path = `${endpoint.path}${API_PREFIX}${ENDPOINT_NAMES[call]}`;
          const headers = { 'content-type': 'application/json' };
          return exchange.run(pool, { method: 'POST', path, headers, body }, deadline);
        });
      } catch (thrown) {
        if (thrown === exchange.veto) throw thrown;
        const error = thrown instanceof Error ? thrown : new Error(String(thrown));
        const { wasWritten } = exchange;
        const verdict = classifyNetworkError(error, { wasWritten, isAborted: signal.aborted });
        throw networkError(error, { ...verdict, maybeProcessed: verdict.maybeProcessed && call === 'sign' });
      }
    },
    close: () => pool.destroy(),
  };
}

/**
 * A TLS alert is followed by the end of the stream, and undici keeps the last error of a connection: to learn that our
 * certificate was refused, the first one must end it.
 */
function createConnector({ secureContext, connectTimeoutMs }: TransportConfig): buildConnector.connector {
  const connect = buildConnector({
    allowH2: false,
    timeout: connectTimeoutMs,
    ...(secureContext === undefined ? {} : { secureContext }),
  });
  return (options, callback) => {
    connect(options, (...outcome) => {
      const [, socket] = outcome;
      socket?.prependOnceListener('error', (error) => socket.destroy(error));
      callback(...outcome);
    });
  };
}

/** One request and its answer, as undici's handler. Nothing of it is used twice. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #beforePost: (() => void) | undefined;
  readonly #answer = Promise.withResolvers<HttpAnswer>();
  #controller: Dispatcher.DispatchController | undefined;
  #cancelled: { readonly reason: Error } | undefined;
  #status = 0;
  #headers: AnswerHeaders = {};
  readonly #chunks: Buffer[] = [];
  #bytes = 0;

  /** Whether any byte of the request may have left. */
  wasWritten = false;
  /** What `beforePost` threw. */
  veto: unknown;

  constructor(beforePost: (() => void) | undefined) {
    this.#beforePost = beforePost;
  }

  /** While the connection is being made undici cannot abort, so the promise is settled here and the start refused later. */
  run(pool: Pool, options: Dispatcher.DispatchOptions, signal: AbortSignal): Promise<HttpAnswer> {
    const onAbort = (): void => {
      const reason = signal.reason as Error;
      this.#cancelled = { reason };
      this.#answer.reject(reason);
      this.#controller?.abort(reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    pool.dispatch(options, this);
    return this.#answer.promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  /** What is thrown here ends the request before it is written, and spares the connection. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#cancelled !== undefined) throw this.#cancelled.reason;
    try {
      this.#beforePost?.();
    } catch (error) {
      this.veto = error;
      throw error;
    }
    this.#controller = controller;
    this.wasWritten = true;
  }

  /** Informational answers (1xx) come here too; the last one counts. */
  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_ANSWER_BYTES) controller.abort(new AnswerTooLongError(MAX_ANSWER_BYTES));
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    const body = Buffer.concat(this.#chunks).toString('utf8');
    this.#answer.resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#answer.reject(error);
  }
}
