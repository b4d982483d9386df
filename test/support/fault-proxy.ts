/**
 * A proxy in front of the real API server that makes the faults a test asks for, and counts what comes through. It has
 * two parts: a relay of bytes, which can refuse, reset and cut connections, and behind it a server that ends TLS and
 * sends requests on, which can spoil single answers by rule. Without rules it passes everything on as it is.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Agent, type Dispatcher } from 'undici';
import type { ClusterConfig } from '../../src/kubernetes/index.ts';
import { createAuthority, issueCertificate } from '../../tools/servers/authority.ts';
import type { KubernetesAccess } from '../../tools/servers/index.ts';
import { withFreePort } from '../../tools/servers/ports.ts';
import { type Exchange, type Fault, isGone, passOn } from './faults.ts';

/** A request as the proxy saw it. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly atMs: number;
}

export interface Rule {
  readonly when: (request: ProxiedRequest) => boolean;
  readonly fault: Fault;
  /** How many of these requests meet the fault, from the first on. Default: all, until `end()`. */
  readonly times?: number;
}

export interface Injection {
  /** How many requests have met the fault. */
  readonly hits: number;
  /** Waits until so many have. */
  hit(count: number): Promise<void>;
  /** The fault is over, for the requests that are in it too. */
  end(): void;
}

export const isList = ({ method, url }: ProxiedRequest): boolean => method === 'GET' && !/[?&]watch=/.test(url);
export const isPage = (request: ProxiedRequest): boolean => isList(request) && request.url.includes('continue=');
export const isWatch = ({ url }: ProxiedRequest): boolean => /[?&]watch=/.test(url);

interface Injected extends Injection {
  readonly rule: Rule;
  readonly over: AbortController;
  hits: number;
}

interface Link {
  readonly client: Socket;
  /** To the TLS server; undefined when the network was cut already. */
  readonly inner: Socket | undefined;
}

export class FaultProxy implements AsyncDisposable {
  readonly requests: ProxiedRequest[] = [];
  /** How many connections were accepted in all. */
  connections = 0;
  /** Changes the path and query of a request on its way, such as its `limit`. */
  rewrite: (url: string) => string = (url) => url;
  readonly port: number;
  #caPem = '';
  #relay: Server | undefined;
  readonly #tls: TlsServer;
  readonly #upstream: string;
  /** With the control plane's certificate, and without any, for requests that bring a token. */
  readonly #agents: { readonly certificate: Agent; readonly token: Agent };
  readonly #links = new Set<Link>();
  readonly #rules = new Set<Injected>();
  readonly #idle = new Set<() => void>();
  #isCut = false;

  private constructor(access: KubernetesAccess, port: number) {
    this.port = port;
    this.#upstream = access.url;
    const forever = { headersTimeout: 0, bodyTimeout: 0 };
    this.#agents = {
      certificate: new Agent({
        ...forever,
        connect: { ca: access.caPem, cert: access.clientCertificatePem, key: access.clientKeyPem },
      }),
      token: new Agent({ ...forever, connect: { ca: access.caPem } }),
    };
    this.#tls = createTlsServer({ keepAliveTimeout: 0 }, (request, response) => void this.#serve(request, response));
    this.#tls.requestTimeout = 0;
  }

  static async start(access: KubernetesAccess): Promise<FaultProxy> {
    return await withFreePort(async (port) => {
      const proxy = new FaultProxy(access, port);
      await proxy.rotateAuthority();
      await new Promise<void>((resolve) => proxy.#tls.listen(0, '127.0.0.1', resolve));
      await proxy.accept();
      return proxy;
    });
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** Whom to trust for this proxy. */
  get caPem(): string {
    return this.#caPem;
  }

  /** A way to the API server through this proxy, as the control plane's administrator. */
  get config(): ClusterConfig {
    return { source: 'proxy', server: this.url, ca: { text: this.caPem }, authentication: { kind: 'none' } };
  }

  get openConnections(): number {
    return this.#links.size;
  }

  /** Waits until no connection is open. */
  async idle(): Promise<void> {
    while (this.#links.size > 0) await new Promise<void>((resolve) => this.#idle.add(resolve));
  }

  inject(rule: Rule): Injection {
    const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
    const over = new AbortController();
    let hits = 0;
    const injected: Injected = {
      rule,
      over,
      get hits() {
        return hits;
      },
      set hits(value) {
        hits = value;
        for (const { count, resolve } of waiting) if (hits >= count) resolve();
      },
      hit: (count) => new Promise((resolve) => (hits >= count ? resolve() : waiting.push({ count, resolve }))),
      end: () => {
        this.#rules.delete(injected);
        over.abort(new Error('The fault is over'));
      },
    };
    this.#rules.add(injected);
    return injected;
  }

  /** Ends all connections with a reset; new ones are accepted. */
  resetConnections(): void {
    for (const { client } of this.#links) client.resetAndDestroy();
  }

  /** Ends all connections and refuses new ones. */
  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#relay?.close(resolve));
    this.#relay = undefined;
    this.resetConnections();
    await closed;
  }

  /** Accepts connections (again). */
  async accept(): Promise<void> {
    const relay = createServer((socket) => this.#link(socket));
    await new Promise<void>((resolve, reject) => {
      relay.once('error', reject);
      relay.listen(this.port, '127.0.0.1', resolve);
    });
    this.#relay = relay;
  }

  /** Not a byte comes through any more, in either direction, on connections old and new; nobody is told. */
  cut(): void {
    this.#isCut = true;
    for (const { client, inner } of this.#links) {
      client.unpipe().pause();
      inner?.unpipe().pause();
    }
  }

  /** The network is back. What was cut off learns from a reset that it is. */
  mend(): void {
    this.#isCut = false;
    this.resetConnections();
  }

  /** Shows a certificate of another authority on new connections. */
  async rotateAuthority(): Promise<void> {
    const authority = await createAuthority('Proxy authority');
    const { certificatePem, keyPem } = await issueCertificate(authority, { name: 'proxy', ipAddresses: ['127.0.0.1'] });
    this.#caPem = authority.certificatePem;
    this.#tls.setSecureContext({ cert: certificatePem, key: keyPem });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const rule of this.#rules) rule.end();
    if (this.#relay !== undefined) await this.refuse();
    await Promise.all([this.#agents.certificate.destroy(), this.#agents.token.destroy()]);
    this.#tls.closeAllConnections();
    await new Promise((resolve) => this.#tls.close(resolve));
  }

  #link(client: Socket): void {
    this.connections++;
    const inner = this.#isCut ? undefined : connect((this.#tls.address() as AddressInfo).port, '127.0.0.1');
    const link = { client, inner };
    this.#links.add(link);
    client.on('error', () => {}); // Its end is all that matters.
    client.once('close', () => {
      inner?.destroy();
      this.#links.delete(link);
      if (this.#links.size > 0) return;
      for (const resolve of this.#idle) resolve();
      this.#idle.clear();
    });
    if (inner === undefined) {
      client.pause();
      return;
    }
    inner.on('error', () => client.resetAndDestroy());
    inner.once('close', () => client.destroySoon());
    client.pipe(inner);
    inner.pipe(client);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    const seen = { method, url, atMs: performance.now() };
    this.requests.push(seen);
    const gone = new AbortController();
    response.once('close', () => gone.abort(new Error('The client is gone')));
    const injected = [...this.#rules].find(({ rule, hits }) => hits < (rule.times ?? Infinity) && rule.when(seen));
    const exchange: Exchange = {
      response,
      gone: gone.signal,
      over: injected === undefined ? gone.signal : AbortSignal.any([injected.over.signal, gone.signal]),
      forward: () => this.#forward(request, gone.signal),
      reset: () => this.#clientOf(request)?.resetAndDestroy(),
    };
    if (injected !== undefined) injected.hits++;
    try {
      await (injected?.rule.fault ?? passOn)(exchange);
    } catch (error) {
      // Neither the client's nor the server's going is ours to report: the one is told of the other's.
      if (!isGone(error, gone.signal)) exchange.reset();
    }
  }

  async #forward(request: IncomingMessage, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { host: _, connection: __, ...headers } = request.headers;
    const agent = headers.authorization === undefined ? this.#agents.certificate : this.#agents.token;
    return await agent.request({
      origin: this.#upstream,
      path: this.rewrite(request.url ?? ''),
      method: request.method as Dispatcher.HttpMethod,
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)])),
      body: request.method === 'GET' ? null : request,
      signal,
    });
  }

  #clientOf({ socket }: IncomingMessage): Socket | undefined {
    for (const { client, inner } of this.#links) {
      if (inner?.localPort === socket.remotePort) return client;
    }
    return undefined;
  }
}
