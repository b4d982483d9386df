/**
 * A CFSSL on loopback that answers `info` and the empty `authsign` (the probe) as told, for tests of what asks them. To
 * whoever asks for a certificate it gives its own.
 */
import { createHmac } from 'node:crypto';
import type { TestContext } from 'node:test';
import { failure, startServer, success } from '../../src/cfssl/testing/test-support.ts';

export interface CfsslServer {
  readonly url: string;
  /** PEM of the CA certificate that it signs with. */
  caPem: string;
  /** The key that it accepts, hexadecimal. */
  key: string;
  /** In place of all answers: an HTTP status, and a body of no meaning. */
  brokenBy: number | undefined;
  /** While this is pending, nothing is answered. */
  held: Promise<void>;
  /** Whether it reads the validity that it is asked for. */
  obeysValidity: boolean;
  /** A profile that it does not know. */
  unknownProfile: string | undefined;
  /** What it was asked, in order. */
  readonly calls: ('info' | 'probe' | 'validity' | 'signing')[];
}

/** Ends with the test. */
export async function startCfsslServer(
  t: TestContext,
  initial: { readonly caPem: string; readonly key: string },
): Promise<CfsslServer> {
  const calls: CfsslServer['calls'] = [];
  const server = await startServer(t, ({ path, body }, response) => {
    const asked = path === '/api/v1/cfssl/info' ? undefined : requestOf(body);
    const call = asked === undefined ? 'info' : kindOf(asked);
    calls.push(call);
    const answer = (status: number, text: string): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    };
    void state.held.then(() => {
      if (state.brokenBy !== undefined) answer(state.brokenBy, 'Broken\n');
      else if (call === 'info') answer(200, success({ certificate: state.caPem, usages: [], expiry: '1h' }));
      else if (call === 'validity' && state.obeysValidity) answer(400, failure(1, 'parsing time "x" as "2006"'));
      else if (!isAuthentic(body, state.key)) answer(400, failure(1, 'invalid token'));
      else if (asked?.profile !== undefined && asked.profile === state.unknownProfile) {
        answer(400, failure(1, 'invalid profile'));
      } else if (call === 'signing') answer(200, success({ certificate: state.caPem }));
      else answer(400, failure(1, 'invalid request'));
    });
  });
  const state: CfsslServer = {
    url: server.url,
    ...initial,
    brokenBy: undefined,
    held: Promise.resolve(),
    obeysValidity: true,
    unknownProfile: undefined,
    calls,
  };
  return state;
}

interface SignRequest {
  readonly certificate_request: string;
  readonly profile?: string;
  readonly NotAfter?: string;
}

function kindOf({ certificate_request: csr, NotAfter: end }: SignRequest): 'probe' | 'validity' | 'signing' {
  if (csr !== '') return 'signing';
  return end === undefined ? 'probe' : 'validity';
}

function requestOf(body: string): SignRequest {
  const { request } = JSON.parse(body) as { request: string };
  return JSON.parse(Buffer.from(request, 'base64').toString('utf8')) as SignRequest;
}

function isAuthentic(body: string, key: string): boolean {
  const { token, request } = JSON.parse(body) as { token: string; request: string };
  const bytes = Buffer.from(request, 'base64');
  return createHmac('sha256', Buffer.from(key, 'hex')).update(bytes).digest('base64') === token;
}
