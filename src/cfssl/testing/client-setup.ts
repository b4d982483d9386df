/** For the tests of `CfsslClient`: a client of endpoints on loopback, and what these answer. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { ManualClock } from '../../../test/support/manual-clock.ts';

import { type CfsslClient, type CfsslClientConfig, type CfsslClientDeps, createCfsslClient } from '../client.ts';
import { parseEndpoints } from '../endpoints.ts';
import { CfsslError, type CfsslErrorCode } from '../errors.ts';
import { createToken, parseAuthKey } from '../token.ts';
import type { AuthenticatedRequest, SignRequestJson } from '../wire.ts';
import {
  createAuthority,
  failure,
  findClosedPort,
  type Handler,
  rejection,
  type Seen,
  silentLog,
  success,
} from './test-support.ts';

/** The certificate that `multirootca()` answers with. */
export const { certPem } = await createAuthority('Test CA');
/** The key of the clients of `connect()`. */
export const KEY = parseAuthKey('00000000000000000000000000000001');
/** A key to change to. */
export const NEXT_KEY = parseAuthKey('00000000000000000000000000000002');
/** A CSR, of which only the PEM's form is right. */
export const CSR = '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n';
/** Options of a call that nobody stops. */
export const never = { signal: new AbortController().signal };

/** A client of these endpoints, with `KEY` alone unless told otherwise. Ends with the test. */
export function connect(
  t: TestContext,
  urls: readonly string[],
  {
    clock = new ManualClock(),
    log = silentLog,
    onOtherKey,
    ...config
  }: Partial<CfsslClientConfig & CfsslClientDeps> = {},
): CfsslClient {
  const client = createCfsslClient(
    { clock, log, random: () => 0, onOtherKey },
    {
      endpoints: parseEndpoints(urls.join()),
      label: 'primary',
      profile: 'server',
      keys: { current: KEY },
      timeoutMs: 10_000,
      ...config,
    },
  );
  t.after(() => client.close());
  return client;
}

/** What is in the envelope of an authenticated request. */
export function requestOf({ body }: Seen): { token: string; bytes: Buffer; json: SignRequestJson } {
  const { token, request } = JSON.parse(body) as AuthenticatedRequest;
  const bytes = Buffer.from(request, 'base64');
  return { token, bytes, json: JSON.parse(bytes.toString()) as SignRequestJson };
}

/** Answers every request alike. */
export const always =
  (status: number, body: string): Handler =>
  (_seen, response) =>
    response.writeHead(status).end(body);

/** Behaves like multirootca with these keys: empty CSRs are refused after the token was checked. */
export const multirootca =
  (...keys: readonly (typeof KEY)[]): Handler =>
  (seen, response) => {
    if (seen.path.endsWith('/info')) {
      response.end(success({ certificate: certPem.trim(), usages: ['signing'], expiry: '8760h' }));
      return;
    }
    const { token, bytes, json } = requestOf(seen);
    if (!keys.some((key) => createToken(key, bytes) === token)) {
      response.writeHead(400).end(failure(1, 'invalid token'));
    } else if (json.certificate_request === '') {
      response.writeHead(400).end(failure(1, 'invalid request'));
    } else {
      response.end(success({ certificate: certPem }));
    }
  };

/** The client's error that a call ends with. */
export async function errorOf(promise: Promise<unknown>): Promise<CfsslError> {
  const error = await rejection(promise);
  assert.ok(error instanceof CfsslError, String(error));
  return error;
}

/** What each endpoint failed with, in the order in which they were asked. */
export const codesOf = (error: CfsslError): [endpoint: string, code: CfsslErrorCode][] =>
  (error.details.attempts ?? []).map(({ endpoint, code }) => [endpoint, code]);

/** An endpoint that cannot be reached. */
export const closedUrl = async (): Promise<string> => `http://127.0.0.1:${await findClosedPort()}`;
