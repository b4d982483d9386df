/**
 * What is known of each endpoint, and which of them to ask next. One that gave trouble is left out of signing for a while,
 * longer each time; when the pause is over one call tries it, and the others leave it out until that trial has ended.
 * "Trouble" is no answer from CFSSL, and also an outcome that is not known: since such a request is not sent again here,
 * only the pause brings the next one to another endpoint.
 */
import { backoffMs, type Clock } from '../platform/index.ts';

import type { CfsslError, CfsslErrorCode } from './errors.ts';
import type { Call } from './requests.ts';

export interface EndpointState {
  readonly url: string;
  /** Whether CFSSL answered there when last asked; undefined until then. */
  readonly reachable: boolean | undefined;
  /** Why not, nothing volatile; present when `reachable` is false. */
  readonly lastError?: string;
}

/** In these cases it is not CFSSL that answered. */
const NOT_REACHED: ReadonlySet<CfsslErrorCode> = new Set([
  'CFSSL_UNREACHABLE',
  'CFSSL_TIMEOUT',
  'CFSSL_CONNECTION_LOST',
  'CFSSL_TLS_TRUST',
  'CFSSL_WRONG_SCHEME',
  'CFSSL_INVALID_ANSWER',
  'CFSSL_REDIRECT',
  'CFSSL_NOT_FOUND',
  'CFSSL_METHOD_REFUSED',
  'CFSSL_PROXY_LOGIN',
  'CFSSL_FORBIDDEN',
  'CFSSL_CLIENT_NAME_REFUSED',
  'CFSSL_UNAVAILABLE',
]);

const PAUSE = { baseMs: 1000, maxMs: 30_000, jitter: 0.2 };

interface Pause {
  readonly error: CfsslError;
  readonly failures: number;
  readonly lengthMs: number;
  /** On the monotonic clock. */
  readonly untilMs: number;
}

export interface EndpointHealthDeps {
  readonly clock: Clock;
  readonly random: () => number;
}

export class EndpointHealth {
  readonly #deps: EndpointHealthDeps;
  readonly #url: string;
  #reachable: boolean | undefined;
  #lastError: string | undefined;
  #pause: Pause | undefined;

  constructor(deps: EndpointHealthDeps, url: string) {
    this.#deps = deps;
    this.#url = url;
  }

  get state(): EndpointState {
    return {
      url: this.#url,
      reachable: this.#reachable,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  /** Why the endpoint is left out, or was until a moment ago. */
  get pausedBy(): CfsslError | undefined {
    return this.#pause?.error;
  }

  /** Whether to ask the endpoint now. When its pause is over, the first one who asks makes the trial. */
  claim(): boolean {
    if (this.#pause === undefined) return true;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs < this.#pause.untilMs) return false;
    this.#pause = { ...this.#pause, untilMs: nowMs + this.#pause.lengthMs };
    return true;
  }

  /** CFSSL answered. That it gives information does not prove that it signs again. */
  recordAnswer(call: Call): void {
    this.#reachable = true;
    this.#lastError = undefined;
    if (call === 'sign' || !this.#pause?.error.details.maybeProcessed) this.#pause = undefined;
  }

  recordError(call: Call, error: CfsslError): void {
    if (error.code === 'CFSSL_ABORTED') return; // no verdict
    const isReached = !NOT_REACHED.has(error.code);
    const { maybeProcessed, retryAfterMs } = error.details;
    if (isReached && !maybeProcessed) {
      this.recordAnswer(call);
      return;
    }
    this.#reachable = isReached;
    this.#lastError = isReached ? undefined : error.reason;
    const { clock, random } = this.#deps;
    const failures = (this.#pause?.failures ?? 0) + 1;
    const lengthMs = retryAfterMs ?? backoffMs(failures, PAUSE, random);
    this.#pause = { error, failures, lengthMs, untilMs: clock.monotonicMs() + lengthMs };
  }
}
