/**
 * The pool of connections to the API server: one undici Agent, HTTP/1.1 (a stalled watch cannot hold up other streams, and
 * there is no GOAWAY). The files it was made from are looked at every minute; when one has changed, a new Agent takes
 * over, and the old one closes as soon as its last request has ended.
 */
import { readFile } from 'node:fs/promises';
import { Agent } from 'undici';
import { type Clock, errorFields, type Logger } from '../platform/index.ts';
import type { ClusterConfig, FileOrText } from './cluster-config.ts';
import type { Credential } from './credentials.ts';
import { KubernetesError } from './errors.ts';

interface TlsFiles {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

const RECHECK_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** Shorter than the API server's own 90 s, so that it never closes a connection on which we have just sent. */
const KEEP_ALIVE_MS = 30_000;

export class Connections {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #config: ClusterConfig;
  #agent: Agent | undefined;
  /** Agents that have been replaced, and still have requests under way. */
  readonly #retired = new Set<Agent>();
  #files: TlsFiles | undefined;
  #certificate: Credential['clientCertificate'];
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  /** One check at a time, whoever waits for it. */
  #check: Promise<Agent> | undefined;
  #isClosed = false;

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }, config: ClusterConfig) {
    this.#clock = clock;
    this.#log = log;
    this.#config = config;
  }

  /** The Agent to send with, for this client certificate (a plugin's; the configuration's own when undefined). */
  async agent(certificate: Credential['clientCertificate']): Promise<Agent> {
    if (this.#isClosed) throw new KubernetesError('KUBERNETES_CONNECTION', 'Cannot connect: the client is closed');
    const isChecked = this.#clock.monotonicMs() - this.#checkedAtMs < RECHECK_MS;
    if (this.#agent !== undefined && isChecked && certificate === this.#certificate) return this.#agent;
    this.#check ??= this.#recheck(certificate).finally(() => {
      this.#check = undefined;
    });
    return await this.#check;
  }

  /** A connection could not be made: look at the files again before the next. */
  distrust(): void {
    this.#checkedAtMs = Number.NEGATIVE_INFINITY;
  }

  async close(): Promise<void> {
    const agent = this.#agent;
    this.#isClosed = true;
    this.#agent = undefined;
    await Promise.all([...this.#retired, agent].map(async (one) => await one?.destroy()));
  }

  async #recheck(certificate: Credential['clientCertificate']): Promise<Agent> {
    let files: TlsFiles;
    try {
      files = await this.#readFiles(certificate);
    } catch (error) {
      if (this.#agent === undefined) throw error;
      this.#log.warn(errorFields(error), 'Cannot read TLS files, keeping the old ones');
      this.#checkedAtMs = this.#clock.monotonicMs();
      return this.#agent;
    }
    this.#checkedAtMs = this.#clock.monotonicMs();
    this.#certificate = certificate;
    const isSame = (['ca', 'cert', 'key'] as const).every((part) => files[part] === this.#files?.[part]);
    if (this.#agent !== undefined && isSame) return this.#agent;
    const old = this.#agent;
    this.#files = files;
    this.#agent = this.#createAgent(files);
    if (old !== undefined) {
      this.#log.info({}, 'TLS files have changed, connecting anew');
      void this.#retire(old);
    }
    return this.#agent;
  }

  async #retire(agent: Agent): Promise<void> {
    this.#retired.add(agent);
    try {
      await agent.close();
    } catch (error) {
      this.#log.debug(errorFields(error), 'Old connections closed with an error');
    } finally {
      this.#retired.delete(agent);
    }
  }

  async #readFiles(certificate: Credential['clientCertificate']): Promise<TlsFiles> {
    const { ca, clientCertificate } = this.#config;
    return {
      ca: await read(ca),
      cert: certificate?.certificate ?? (await read(clientCertificate?.certificate)),
      key: certificate?.key ?? (await read(clientCertificate?.key)),
    };
  }

  #createAgent({ ca, cert, key }: TlsFiles): Agent {
    const { serverName, skipTlsVerify } = this.#config;
    return new Agent({
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // Deadlines are the caller's; undici's timers are too coarse, and a watch has none.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        keepAlive: true,
        // Finds a peer that has vanished without a word in under a minute.
        keepAliveInitialDelay: 30_000,
        minVersion: 'TLSv1.2',
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        ...(serverName === undefined ? {} : { servername: serverName }),
        ...(skipTlsVerify === true ? { rejectUnauthorized: false } : {}),
      },
    });
  }
}

async function read(source: FileOrText | undefined): Promise<string | undefined> {
  if (source === undefined) return undefined;
  if ('text' in source) return source.text;
  return await readFile(source.file, 'utf8').catch((cause: unknown) => {
    throw new KubernetesError('KUBERNETES_CONFIG', `Cannot read ${source.file}`, { cause });
  });
}
