/** Raw calls to a CFSSL server: every byte as given, nothing judged. */
import { Agent, request } from 'undici';
import { API_PREFIX, createToken, parseAuthKey } from '../../src/cfssl/index.ts';

export interface CfsslServer {
  readonly url: string;
  readonly caPem: string;
}

export interface RawCall {
  readonly path: string;
  readonly method?: 'POST' | 'GET' | 'PUT';
  readonly body?: string;
}

export interface RawAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Sends a call over a connection of its own, redirects not followed. */
export async function callCfssl(
  { url, caPem }: CfsslServer,
  { path, method = 'POST', body }: RawCall,
): Promise<RawAnswer> {
  const dispatcher = new Agent({ connect: { ca: caPem }, pipelining: 0 });
  try {
    const answer = await request(`${url}${path}`, { method, dispatcher, ...(body === undefined ? {} : { body }) });
    return {
      status: answer.statusCode,
      contentType: String(answer.headers['content-type'] ?? ''),
      body: await answer.body.text(),
    };
  } finally {
    await dispatcher.close();
  }
}

/** The call to `authsign` for an inner request, an object or its exact text. */
export function authsign(key: string, inner: object | string): RawCall {
  const bytes = Buffer.from(typeof inner === 'string' ? inner : JSON.stringify(inner));
  const body = { token: createToken(parseAuthKey(key), bytes), request: bytes.toString('base64') };
  return { path: `${API_PREFIX}authsign`, body: JSON.stringify(body) };
}

export function info(inner: object | string): RawCall {
  return { path: `${API_PREFIX}info`, body: typeof inner === 'string' ? inner : JSON.stringify(inner) };
}
