// One HTTPS request to a started server: enough to probe and to set up, with no pool that would have to be closed.

import { request } from 'node:https';

/** What it takes to be heard by a server. */
export interface HttpsAccess {
  /** `https://127.0.0.1:20443`. */
  readonly url: string;
  readonly caPem: string;
  readonly clientCertificatePem?: string;
  readonly clientKeyPem?: string;
}

export interface HttpsRequest {
  readonly path: string;
  /** Default: GET. */
  readonly method?: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpsAnswer {
  readonly status: number;
  readonly body: string;
}

/** Sends a request and reads the answer, whatever its status. */
export function requestHttps(access: HttpsAccess, { path, method, body, contentType, signal }: HttpsRequest) {
  return new Promise<HttpsAnswer>((resolve, reject) => {
    const sent = request(new URL(path, access.url), {
      method: method ?? 'GET',
      agent: false,
      ca: access.caPem,
      cert: access.clientCertificatePem,
      key: access.clientKeyPem,
      headers: contentType === undefined ? {} : { 'content-type': contentType },
      ...(signal ? { signal } : {}),
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, body: text });
      });
    });
    sent.end(body);
  });
}
