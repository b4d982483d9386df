/** The HTTP side: multirootca's three paths, and what Go's mux and server answer besides. */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { posix } from 'node:path';
import { API_PREFIX } from '../src/cfssl/index.ts';
import { type Answer, NOT_FOUND, redirect } from './answer.ts';
import { answerAuthsign, type HttpRequest, type SigningDeps } from './authsign.ts';
import type { Configuration } from './configuration.ts';
import { answerInfo } from './info.ts';

export interface ServerOptions {
  /** Undefined for all interfaces. */
  readonly host: string | undefined;
  /** 0 for any that is free. */
  readonly port: number;
  readonly tls: { readonly certificate: string | Buffer; readonly key: string | Buffer } | undefined;
}

export interface RunningServer {
  /** The real port. */
  readonly port: number;
  /** Closes every connection, requests under way included. */
  close(): Promise<void>;
}

/** @throws Error when the address cannot be bound, or the certificate and key do not go together */
export async function startServer(
  configuration: Configuration,
  { host, port, tls }: ServerOptions,
  deps: SigningDeps,
): Promise<RunningServer> {
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void handle(configuration, request, deps).then(
      ({ status, headers, body }) =>
        response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body),
      (error: unknown) => {
        deps.log('ERROR', `Cannot answer: ${String(error)}`);
        response.destroy();
      },
    );
  };
  const server = tls
    ? createHttpsServer({ cert: tls.certificate, key: tls.key }, listener)
    : createHttpServer(listener);
  // Go's server has none of these, and a connection that ends in a client's pause costs it a request
  server.keepAliveTimeout = 0;
  server.headersTimeout = 0;
  server.requestTimeout = 0;
  const sockets = new Set<Socket>();
  const front = createTcpServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (tls) routeByFirstByte(server, socket);
    else server.emit('connection', socket);
  });
  await new Promise<void>((resolve, reject) => {
    front.once('error', reject);
    front.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  });
  return {
    port: (front.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        front.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8; escaping=values';
const TLS_HANDSHAKE = 0x16;
const NOT_TLS = 'HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n';

/** TLS goes to the server; plain HTTP is told its mistake, as Go does. */
function routeByFirstByte(server: Server, socket: Socket): void {
  socket.once('data', (chunk) => {
    if (chunk[0] !== TLS_HANDSHAKE) {
      socket.end(NOT_TLS);
      return;
    }
    socket.pause();
    socket.unshift(chunk);
    server.emit('connection', socket);
  });
}

async function handle(configuration: Configuration, message: IncomingMessage, deps: SigningDeps): Promise<Answer> {
  const [path, query] = splitUrl(message.url ?? '');
  const clean = cleanPath(path);
  if (clean !== path) return redirect(message.method ?? '', query === undefined ? clean : `${clean}?${query}`);
  switch (decodePath(path)) {
    case `${API_PREFIX}authsign`:
      return answerAuthsign(configuration, await readRequest(message), deps);
    case `${API_PREFIX}info`:
      return answerInfo(configuration, await readRequest(message));
    case '/metrics':
      return { status: 200, headers: { 'content-type': METRICS_TYPE }, body: deps.metrics.format() };
    default:
      return NOT_FOUND;
  }
}

function splitUrl(url: string): [string, string | undefined] {
  const mark = url.indexOf('?');
  return mark === -1 ? [url, undefined] : [url.slice(0, mark), url.slice(mark + 1)];
}

/** Escapes mean what they stand for; those that stand for nothing match no path. */
function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/** Without `//`, `/./` and `/../`; a slash at the end stays. */
function cleanPath(path: string): string {
  return posix.normalize(path.startsWith('/') ? path : `/${path}`);
}

async function readRequest(message: IncomingMessage): Promise<HttpRequest> {
  const { method = '', socket } = message;
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return { method, body: Buffer.concat(chunks), peer: socket.remoteAddress ?? '' };
}
