/**
 * What each request proves its sender with. A token file is read again every minute, a plugin is run again shortly before
 * its credential expires, and either at once when the server answers 401 (client-go `transport/token_source.go`).
 */
import { readFile } from 'node:fs/promises';
import { type Clock, errorFields, type Logger } from '../platform/index.ts';
import type { Authentication } from './cluster-config.ts';
import { KubernetesError } from './errors.ts';
import { runExecPlugin } from './exec-plugin.ts';
import { abortable } from './wait.ts';

export interface Credential {
  readonly token?: string;
  readonly clientCertificate?: { readonly certificate: string; readonly key: string };
}

export interface CredentialSource {
  current(signal: AbortSignal): Promise<Credential>;
  /** The server refused this one. True when asking again may bring another. */
  refuse(credential: Credential): boolean;
  close(): void;
}

interface Held {
  readonly credential: Credential;
  readonly isFresh: () => boolean;
}

const TOKEN_FILE_MAX_AGE_MS = 60_000;
/** A plugin's credential counts as expired this long before it does. */
const EXPIRY_MARGIN_MS = 10_000;

export function createCredentialSource(
  deps: { readonly clock: Clock; readonly log: Logger },
  authentication: Authentication,
): CredentialSource {
  const { clock } = deps;
  switch (authentication.kind) {
    case 'none':
      return fixed({});
    case 'token':
      return fixed({ token: authentication.token });
    case 'token-file':
      return new RenewedCredential(deps, () => readTokenFile(clock, authentication.file));
    case 'exec':
      return new RenewedCredential(deps, async (signal) => {
        const { expiresAtMs, ...credential } = await runExecPlugin(clock, authentication.plugin, signal);
        return {
          credential,
          isFresh: () => expiresAtMs === undefined || clock.now() < expiresAtMs - EXPIRY_MARGIN_MS,
        };
      });
    default:
      return authentication satisfies never;
  }
}

function fixed(credential: Credential): CredentialSource {
  return { current: () => Promise.resolve(credential), refuse: () => false, close: () => {} };
}

async function readTokenFile(clock: Clock, file: string): Promise<Held> {
  const token = await readFile(file, 'utf8').then(
    (text) => text.trim(),
    (cause: unknown) => {
      throw new KubernetesError('KUBERNETES_CREDENTIALS', `Cannot read token file ${file}`, { cause });
    },
  );
  if (token === '') throw new KubernetesError('KUBERNETES_CREDENTIALS', `Cannot use token file ${file}: it is empty`);
  const readAtMs = clock.monotonicMs();
  return { credential: { token }, isFresh: () => clock.monotonicMs() - readAtMs < TOKEN_FILE_MAX_AGE_MS };
}

class RenewedCredential implements CredentialSource {
  readonly #log: Logger;
  readonly #renew: (signal: AbortSignal) => Promise<Held>;
  readonly #closed = new AbortController();
  #held: Held | undefined;
  /** One renewal at a time, whoever waits for it. */
  #renewal: Promise<Credential> | undefined;
  #refused = false;

  constructor({ log }: { readonly log: Logger }, renew: (signal: AbortSignal) => Promise<Held>) {
    this.#log = log;
    this.#renew = renew;
  }

  async current(signal: AbortSignal): Promise<Credential> {
    if (this.#held !== undefined && !this.#refused && this.#held.isFresh()) return this.#held.credential;
    this.#renewal ??= this.#renewOnce();
    return await abortable(this.#renewal, signal);
  }

  refuse(credential: Credential): boolean {
    // If another caller's 401 has already brought a new one, there is nothing to forget.
    if (this.#held?.credential === credential) this.#refused = true;
    return true;
  }

  close(): void {
    this.#closed.abort(new Error('The client is closed'));
  }

  async #renewOnce(): Promise<Credential> {
    try {
      this.#held = await this.#renew(this.#closed.signal);
      this.#refused = false;
      return this.#held.credential;
    } catch (error) {
      if (this.#held === undefined) throw error;
      this.#log.warn(errorFields(error), 'Cannot renew credentials, keeping the old ones');
      return this.#held.credential;
    } finally {
      this.#renewal = undefined;
    }
  }
}
