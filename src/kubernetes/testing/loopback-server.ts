/** A real HTTP server on a loopback port that answers as a test says, and a client of it; for the client's tests. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { ManualClock, settle } from '../../../test/support/manual-clock.ts';
import { Registry } from '../../platform/index.ts';
import { createKubernetesClient, type KubernetesClientOptions } from '../client.ts';
import type { ClusterConfig } from '../cluster-config.ts';
import type { KubernetesError } from '../errors.ts';
import { LogDouble } from './test-support.ts';

export interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Handler = (request: Received, response: ServerResponse) => void;

/** A server and a client of it; both are closed when the test ends. */
export async function start(
  t: TestContext,
  handler: Handler,
  options: KubernetesClientOptions & { readonly config?: Partial<ClusterConfig>; readonly clock?: ManualClock } = {},
) {
  const requests: Received[] = [];
  const sockets = new Set<unknown>();
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      const received = { method, url, headers, body: Buffer.concat(chunks).toString() };
      requests.push(received);
      handler(received, response);
    });
  };
  const server = createServer(listener).on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const { config, clock = new ManualClock(), ...clientOptions } = options;
  const registry = new Registry();
  const log = new LogDouble();
  const client = createKubernetesClient(
    { clock, log, registry },
    { source: 'test', server: `http://127.0.0.1:${port}`, authentication: { kind: 'none' }, ...config },
    clientOptions,
  );
  t.after(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    assert.equal(clock.pendingTimers, 0);
  });
  return { client, clock, registry, log, requests, sockets };
}

export function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

export const failure = (code: number, reason: string, more: object = {}): object => ({
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message: `widgets "a" ${reason}`,
  ...more,
});

export async function errorOf(promise: Promise<unknown>): Promise<KubernetesError> {
  return await promise.then(
    () => assert.fail('No error'),
    (error: unknown) => error as KubernetesError,
  );
}

/** Waits, on real sockets, until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}

/** Where the tests' one object lies. */
export const at = { namespace: 'ns', name: 'a' };
