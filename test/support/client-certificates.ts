/** Certificates that clients show to a CFSSL behind mutual TLS: a right one, and those that it must refuse. */
import type { TLSSocket } from 'node:tls';
import { type Certified, createAuthority } from '../../src/cfssl/testing/test-support.ts';
import type { Manifest } from '../../tools/cluster.ts';
import { issueCertificate } from '../../tools/servers/authority.ts';
import type { Cfssl } from '../../tools/servers/index.ts';
import { answer, type CfsslProxy, type Fault, startCfsslProxy } from './cfssl-proxy.ts';

export interface ClientCertificates {
  /** Of the authority that servers ask for. */
  readonly caPem: string;
  readonly right: Certified;
  readonly ofAnotherCa: Certified;
  readonly expired: Certified;
  /** The right certificate and the key of another. */
  readonly withAnotherKey: Certified;
}

export async function createClientCertificates(): Promise<ClientCertificates> {
  const authority = await createAuthority('Client CA');
  const right = await authority.issue('client');
  const { keyPem } = await authority.issue('another client');
  return {
    caPem: authority.certPem,
    right,
    ofAnotherCa: await (await createAuthority('Another CA')).issue('client'),
    expired: await authority.issue('client', { isExpired: true }),
    withAnotherKey: { ...right, keyPem },
  };
}

/** The Secret that `spec.tls.clientCertificateSecretName` may name. */
export function clientSecret(namespace: string, name: string, { certPem, keyPem }: Certified): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace, name },
    type: 'kubernetes.io/tls',
    stringData: { 'tls.crt': certPem, 'tls.key': keyPem },
  };
}

/** A CFSSL behind something that ends TLS and demands a client certificate, as nginx does; multirootca itself cannot. */
export async function startMutualTlsProxy(cfssl: Cfssl, { caPem }: ClientCertificates): Promise<CfsslProxy> {
  const { certificatePem, keyPem } = await issueCertificate(cfssl.ca.root, {
    name: 'proxy',
    ipAddresses: ['127.0.0.1'],
  });
  const tls = { cert: certificatePem, key: keyPem, ca: caPem, requestCert: true, rejectUnauthorized: false };
  const proxy = await startCfsslProxy(cfssl, { tls });
  const make: Fault = async (call) => {
    const socket = call.request.socket as TLSSocket;
    if (socket.authorized) {
      const { status, contentType, body } = await call.forward();
      call.response.writeHead(status, { 'content-type': contentType }).end(body);
      return;
    }
    const isMissing = Object.keys(socket.getPeerCertificate()).length === 0;
    const title = isMissing ? 'No required SSL certificate was sent' : 'The SSL certificate error';
    await answer(400, `<html>\r\n<head><title>400 ${title}</title></head>\r\n</html>\r\n`)(call);
  };
  proxy.fault = { of: 'all calls', make };
  return proxy;
}
