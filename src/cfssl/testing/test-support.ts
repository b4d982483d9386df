/** For tests: certificates, answers as CFSSL writes them, and servers on loopback that can misbehave. */
import 'reflect-metadata';

import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import type { TlsOptions } from 'node:tls';
import {
  BasicConstraintsExtension,
  type JsonGeneralName,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

import type { Logger } from '../../platform/index.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

export interface Certified {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface CertificateOptions {
  readonly san?: JsonGeneralName[];
  readonly isExpired?: boolean;
}

export interface Authority extends Certified {
  /** A certificate by this CA. */
  issue(name: string, options?: CertificateOptions): Promise<Certified>;
}

export async function createAuthority(name: string): Promise<Authority> {
  const caKeys = await newKeys();
  const subject = `CN=${name}`;
  const generate = async (
    keys: webcrypto.CryptoKeyPair,
    holder: string,
    { san, isExpired = false }: CertificateOptions,
  ): Promise<Certified> => {
    const certificate = await X509CertificateGenerator.create({
      subject: holder,
      issuer: subject,
      notBefore: new Date('2020-01-01'),
      notAfter: new Date(isExpired ? '2021-01-01' : '2100-01-01'),
      publicKey: keys.publicKey,
      signingKey: caKeys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new BasicConstraintsExtension(keys === caKeys, undefined, true),
        ...(san === undefined ? [] : [new SubjectAlternativeNameExtension(san)]),
      ],
    });
    return { certPem: `${certificate.toString('pem')}\n`, keyPem: await toPem(keys.privateKey) };
  };
  return {
    ...(await generate(caKeys, subject, {})),
    issue: async (holder, options = {}) => generate(await newKeys(), `CN=${holder}`, options),
  };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function toPem(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64');
  return `-----BEGIN PRIVATE KEY-----\n${pkcs8.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
}

/** A success as CFSSL writes it. */
export function success(result: unknown, messages: readonly { code: number; message: string }[] = []): string {
  return `${JSON.stringify({ success: true, result, errors: [], messages })}\n`;
}

/** An error as CFSSL writes it. */
export function failure(code: number, message: string): string {
  return `${JSON.stringify({ success: false, result: null, errors: [{ code, message }], messages: [] })}\n`;
}

/** A request as a test server saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Tells connections apart. */
  readonly socket: Socket;
}

export type Handler = (seen: Seen, response: ServerResponse) => void;

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly seen: readonly Seen[];
}

/** An HTTP server that keeps what it saw; `tls` makes it HTTPS. Ends with the test. */
export async function startServer(t: TestContext, handler: Handler, tls?: TlsOptions): Promise<TestServer> {
  const seen: Seen[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url: path = '', headers, socket } = request;
      const entry = { method, path, headers, socket, body: Buffer.concat(chunks).toString('utf8') };
      seen.push(entry);
      handler(entry, response);
    });
  };
  const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
  server.keepAliveTimeout = 0;
  const port = await listen(t, server);
  return { url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, port, seen };
}

/** A TCP server for what HTTP servers do not do. Ends with the test. */
export async function startTcpServer(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  return await listen(t, createTcpServer(onConnection));
}

async function listen(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined); // clients that break off are what is tested
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  });
  return (server.address() as AddressInfo).port;
}

/** A port at which nothing listens: it was free a moment ago. */
export async function findClosedPort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export const silentLog: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};

/** The error that a promise ends with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('The promise was fulfilled');
}
