/**
 * A small HTTP server for probes and metrics: GET on exact paths, plain text, nothing else.
 * Connections are short and few; a slow client is cut off, so that a stop never waits for one.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

export interface HttpServer {
  /** Where it listens; the port is the real one when 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number };
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

export interface HttpServerOptions {
  /** `host:port`, `[v6]:port` or `:port` for all interfaces, as Go's `net.Listen` takes it. */
  readonly bindAddress: string;
  /** Answers by exact path. An answer that throws is a 500 with the error's message. */
  readonly routes: Readonly<Record<string, () => Promise<HttpAnswer> | HttpAnswer>>;
}

/** @throws Error when the address is malformed or cannot be bound; the message names it. */
export async function startHttpServer({ bindAddress, routes }: HttpServerOptions): Promise<HttpServer> {
  const server = createServer((request, response) => {
    void route(routes, request.method ?? '', request.url ?? '').then((answer) => {
      response.writeHead(answer.status, { 'content-type': answer.contentType ?? 'text/plain; charset=utf-8' });
      response.end(request.method === 'HEAD' ? undefined : answer.body);
    });
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  const { host, port } = parseBindAddress(bindAddress);
  await listen(server, host, port, bindAddress);
  // Such as too many open files on accept: the next connection may work again.
  server.on('error', () => {});
  const bound = server.address() as AddressInfo;
  return {
    address: { host: bound.address, port: bound.port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function route(routes: HttpServerOptions['routes'], method: string, url: string): Promise<HttpAnswer> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'Only GET and HEAD are served\n' };
  const path = url.split('?', 1)[0] ?? '';
  const handler = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (handler === undefined) return { status: 404, body: 'Not found\n' };
  try {
    return await handler();
  } catch (error) {
    return { status: 500, body: `${error instanceof Error ? error.message : String(error)}\n` };
  }
}

/** Splits a Go listen address. @throws Error when it has no port. */
export function parseBindAddress(text: string): { host: string | undefined; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new Error(`Cannot listen on "${text}": want host:port, [IPv6]:port or :port`);
  }
  return { host: match[1] ?? (match[2] === '' ? undefined : match[2]), port };
}

function listen(server: Server, host: string | undefined, port: number, shown: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new Error(`Cannot listen on ${shown}: ${cause.message}`, { cause })));
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  });
}
