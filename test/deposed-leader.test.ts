/**
 * A leader that stands still in the middle of its signings for longer than its lease lasts, as on a machine that swaps or
 * in a virtual machine that is moved, and then goes on: another has taken over, and what is final stays as it is.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { parseCsr } from '../src/x509/index.ts';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import { verifyRequest } from '../tools/verify.ts';
import { createApproved, numbered, waitForAll } from './support/approved-requests.ts';
import { holdSignings, startCfsslProxy } from './support/cfssl-proxy.ts';
import { createNamespace, createReadyIssuer, getServers, readyOf, type Servers } from './support/environment.ts';
import { until } from './support/until.ts';

const REQUESTS = 30;
/** Of one issuer, at a time. */
const IN_FLIGHT = 8;

/** An Issuer `ca` in a namespace of its own, whose CFSSL can be made to wait before it signs. */
async function createIssuer({ cluster, cfssl }: Servers) {
  const proxy = await startCfsslProxy(cfssl);
  const namespace = await createNamespace(cluster, 'deposed');
  await createReadyIssuer(cluster, cfssl, { namespace, spec: { url: proxy.url, timeout: '2m' } });
  return { proxy, namespace };
}

/** What is final of each request, by name. */
async function readFinal({ cluster }: Servers, namespace: string): Promise<Map<string, CertificateRequest>> {
  const { items } = await cluster.client.list<CertificateRequest>(CERTIFICATE_REQUESTS, { namespace });
  const isFinal = (request: CertificateRequest): boolean => readyOf(request)?.reason === 'Issued';
  return new Map(items.filter(isFinal).map((request) => [request.metadata.name, request]));
}

/** The certificate is CFSSL's, for the key that the request asks for. */
function assertRight(request: CertificateRequest, { cfssl }: Servers): void {
  const { leaf } = verifyRequest(request, { rootPem: cfssl.rootPem, intermediatePems: [] });
  const csr = parseCsr(Buffer.from(request.spec.request, 'base64').toString('utf8'));
  assert.ok(leaf instanceof X509Certificate);
  assert.deepEqual(leaf.publicKey.export({ format: 'der', type: 'spki' }), Buffer.from(csr.spkiDer));
}

describe('a leader that stands still in mid-POST for longer than its lease, and goes on', () => {
  test('costs at most one certificate more for each request in flight, and overwrites nothing', async () => {
    const servers = await getServers();
    const { cluster, controlPlane } = servers;
    const start = (): Promise<IssuerProcess> =>
      startIssuer({ access: controlPlane, flags: ['--enable-leader-election'] });
    await using first = await start();
    // The next leader will have finished those of one issuer when the first goes on, and be about those of the other.
    const finished = await createIssuer(servers);
    const unfinished = await createIssuer(servers);
    await using _1 = finished.proxy;
    await using _2 = unfinished.proxy;
    await using _3 = await start();

    const [ofFinished, ofUnfinished] = [holdSignings(finished.proxy), holdSignings(unfinished.proxy)];
    for (const { namespace } of [finished, unfinished]) await createApproved(cluster, namespace, numbered(REQUESTS));
    await until(
      'as many as possible are in flight',
      () => ofFinished.count() === IN_FLIGHT && ofUnfinished.count() === IN_FLIGHT,
    );
    process.kill(first.pid, 'SIGSTOP');
    // CFSSL signs; its answers wait for the one that stands still.
    for (const { release } of [ofFinished, ofUnfinished]) release();
    await until(
      'CFSSL has signed those',
      () => finished.proxy.forwarded === IN_FLIGHT && unfinished.proxy.forwarded === IN_FLIGHT,
    );

    const ofNext = holdSignings(unfinished.proxy);
    await waitForAll(cluster, finished.namespace, REQUESTS);
    await until('the next leader is about the others', () => ofNext.count() === IN_FLIGHT);
    const final = await readFinal(servers, finished.namespace);
    process.kill(first.pid, 'SIGCONT');
    assert.equal(await first.ended, 'exit code 1', 'it ends, having lost its lease');
    const finalOfUnfinished = await readFinal(servers, unfinished.namespace);
    ofNext.release();
    await waitForAll(cluster, unfinished.namespace, REQUESTS);

    assert.deepEqual(await readFinal(servers, finished.namespace), final);
    const end = await readFinal(servers, unfinished.namespace);
    for (const [name, { status }] of finalOfUnfinished) assert.deepEqual(end.get(name)?.status, status);
    for (const request of [...final.values(), ...end.values()]) assertRight(request, servers);
    for (const { proxy } of [finished, unfinished]) {
      assert.ok(proxy.forwarded <= REQUESTS + IN_FLIGHT, `${proxy.forwarded} certificates`);
    }
  });
});
