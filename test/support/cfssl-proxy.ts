/**
 * A proxy in front of a real CFSSL that makes the faults that no server makes by itself. It listens on plain HTTP, as a
 * load balancer in a cluster may, or on HTTPS with whatever it demands of clients, and forwards everything unchanged
 * while there is no fault.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { encodePem, parseCertificates, parseCsr } from '../../src/x509/index.ts';
import {
  basicConstraintsCa,
  type CertificateParts,
  certificateDer,
  dns,
  extension,
  newKey,
  oid,
  san,
} from '../../src/x509/testing/authority.ts';
import type { Cfssl } from '../../tools/servers/index.ts';
import { callCfssl, type RawAnswer } from './cfssl-call.ts';

/** What is done with a call instead of forwarding it. `forward` may still be called, for faults behind the server. */
export type Fault = (call: ProxiedCall) => Promise<void> | void;

export interface ProxiedCall {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The CSR of a signing, empty for a probe; undefined for any other call. */
  readonly csrPem: string | undefined;
  readonly forward: () => Promise<RawAnswer>;
}

export interface CfsslProxyOptions {
  /** Certificate and key to listen on HTTPS with, and what is demanded of clients. Default: plain HTTP. */
  readonly tls?: ServerOptions;
}

export interface CfsslProxy extends AsyncDisposable {
  readonly url: string;
  /** Whom calls are forwarded to. */
  server: Cfssl;
  /** Signings that were forwarded, so that the server behind has issued a certificate for each that it did not refuse. */
  readonly forwarded: number;
  /** Signings that arrived. */
  readonly received: number;
  /** Calls of any kind that arrived, probes and checks of an issuer among them. */
  readonly calls: number;
  /** Which calls are faulty, and how; undefined for none. */
  fault: { readonly of: 'signings' | 'all calls'; readonly make: Fault } | undefined;
  close(): Promise<void>;
}

/** Holds signings back on their way to CFSSL until `release()`; `count()` tells how many wait. */
export function holdSignings(proxy: CfsslProxy): { readonly count: () => number; readonly release: () => void } {
  const gate = Promise.withResolvers<void>();
  let held = 0;
  const make: Fault = async ({ response, forward }) => {
    held += 1;
    await gate.promise;
    const { status, contentType, body } = await forward();
    response.writeHead(status, { 'content-type': contentType }).end(body);
  };
  proxy.fault = { of: 'signings', make };
  return {
    count: () => held,
    release: () => {
      proxy.fault = undefined;
      gate.resolve();
    },
  };
}

export async function startCfsslProxy(first: Cfssl, { tls }: CfsslProxyOptions = {}): Promise<CfsslProxy> {
  let server = first;
  const counts = { forwarded: 0, received: 0, calls: 0 };
  let fault: CfsslProxy['fault'];

  const onCall = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    counts.calls += 1;
    const body = Buffer.concat(await request.toArray()).toString('utf8');
    const csrPem = request.url?.endsWith('/authsign') === true ? readCsr(body) : undefined;
    const isSigning = csrPem !== undefined && csrPem !== '';
    if (isSigning) counts.received += 1;
    const forward = async (): Promise<RawAnswer> => {
      if (isSigning) counts.forwarded += 1;
      return await callCfssl(server, { path: request.url ?? '', body });
    };
    if (fault !== undefined && (isSigning || fault.of === 'all calls')) {
      await fault.make({ request, response, csrPem, forward });
      return;
    }
    const { status, contentType, body: answer } = await forward();
    response.writeHead(status, { 'content-type': contentType }).end(answer);
  };

  const listen = (request: IncomingMessage, response: ServerResponse): void => {
    onCall(request, response).catch(() => response.destroy());
  };
  const listener = tls === undefined ? createServer(listen) : createTlsServer(tls, listen);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const close = async (): Promise<void> => {
    listener.closeAllConnections();
    listener.close();
    await once(listener, 'close');
  };
  return {
    url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    get server() {
      return server;
    },
    set server(next) {
      server = next;
    },
    get forwarded() {
      return counts.forwarded;
    },
    get received() {
      return counts.received;
    },
    get calls() {
      return counts.calls;
    },
    get fault() {
      return fault;
    },
    set fault(next) {
      fault = next;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function readCsr(body: string): string | undefined {
  const { request } = JSON.parse(body) as { request: string };
  const inner = JSON.parse(Buffer.from(request, 'base64').toString('utf8')) as { certificate_request: string };
  return inner.certificate_request;
}

/** Takes the call and says nothing. */
export const hang: Fault = () => {};

/** Lets the server sign and breaks the connection before the answer. */
export const resetAfterSigning: Fault = async ({ response, forward }) => {
  await forward();
  response.socket?.resetAndDestroy();
};

export function answer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Fault {
  return ({ response }) => {
    response.writeHead(status, { 'content-type': 'text/html', ...headers }).end(body);
  };
}

/** An error as CFSSL's servers write it. */
export function refuse(status: number, code: number, message: string): Fault {
  const envelope = { success: false, result: null, errors: [{ code, message }], messages: [] };
  return answer(status, `${JSON.stringify(envelope)}\n`, { 'content-type': 'text/plain; charset=utf-8' });
}

/** Success with that result. */
export function succeed(result: object, messages: readonly object[] = []): Fault {
  return answer(200, `${JSON.stringify({ success: true, result, errors: [], messages })}\n`);
}

/** An answer that never ends. */
export const answerEndlessly: Fault = ({ response }) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const chunk = ' '.repeat(65_536);
  const write = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', write);
  write();
};

/** The server's own success with a message beside it. */
export function succeedWithMessage(code: number, message: string): Fault {
  return async ({ response, forward }) => {
    const envelope = JSON.parse((await forward()).body) as object;
    response.end(JSON.stringify({ ...envelope, messages: [{ code, message }] }));
  };
}

export type WrongCertificate = 'other key' | 'missing name' | 'CA flag' | 'expired' | 'other signer' | 'CT poison';

const CT_POISON = extension('1.3.6.1.4.1.11129.2.4.3', Buffer.of(0x05, 0x00), true);

/** Answers with a certificate of `intermediate1` that is right in all but one thing. */
export function issueWrongly({ ca }: Cfssl, what: WrongCertificate): Fault {
  return (call) => {
    const csr = parseCsr(call.csrPem ?? '');
    const { keyPem, certificatePem } = ca.intermediates.intermediate1;
    const [signer] = parseCertificates(certificatePem);
    const key = { publicKey: publicKeyOf(csr.spkiDer), privateKey: createPrivateKey(keyPem) };
    const signerKey = { publicKey: createPublicKey(certificatePem), privateKey: createPrivateKey(keyPem) };
    const names = san(...csr.names.map(({ value }) => dns(value)));
    const right: CertificateParts = {
      key,
      issuer: { key: signerKey, subject: signer?.subjectDer ?? oid('2.5.4.3') },
      extensions: [names],
      notBefore: generalizedTime(Date.now() - 300_000),
      notAfter: generalizedTime(Date.now() + 3_600_000),
    };
    const wrong: Readonly<Record<WrongCertificate, Partial<CertificateParts>>> = {
      'other key': { key: newKey() },
      'missing name': { extensions: [san(dns('other.example'))] },
      'CA flag': { extensions: [names, basicConstraintsCa] },
      expired: { notAfter: generalizedTime(Date.now() - 60_000) },
      'other signer': { issuer: { ...right.issuer, key: newKey(), subject: signer?.subjectDer ?? oid('2.5.4.3') } },
      'CT poison': { extensions: [names, CT_POISON] },
    };
    const certificate = encodePem('CERTIFICATE', certificateDer({ ...right, ...wrong[what] }));
    return succeed({ certificate })(call);
  };
}

function publicKeyOf(spkiDer: Uint8Array) {
  return createPublicKey({ key: Buffer.from(spkiDer), format: 'der', type: 'spki' });
}

function generalizedTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
}
