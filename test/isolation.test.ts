/** A slow or busy neighbour delays nobody else: issuers whose CFSSL hangs, and a namespace that asks for very much. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CERTIFICATE_REQUESTS, type CertificateRequest } from '../src/api/index.ts';
import { type Cluster, isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { startIssuer } from '../tools/issuer-process.ts';
import { hang, startCfsslProxy } from './support/cfssl-proxy.ts';
import { createCsr } from './support/csr.ts';
import { createNamespace, getServers, issuerManifests, judgeRequest, readyOf } from './support/environment.ts';

const HANGING_ISSUERS = 10;
const WAITING_EACH = 200;
const PROBES = 40;
const BURST = 5_000;
const CREATORS = 16;

/** Creates approved requests for the Issuer of that name, all with the same CSR, which CFSSL does not mind. */
async function createMany(
  cluster: Cluster,
  namespace: string,
  issuer: string,
  names: readonly string[],
): Promise<void> {
  const request = Buffer.from(await createCsr()).toString('base64');
  const left = [...names];
  const work = async (): Promise<void> => {
    for (let name = left.pop(); name !== undefined; name = left.pop()) {
      const issuerRef = { group: 'cfssl-issuer.wikimedia.org', kind: 'Issuer', name: issuer };
      const metadata = { namespace, name };
      await cluster.create({
        apiVersion: 'cert-manager.io/v1',
        kind: 'CertificateRequest',
        metadata,
        spec: { request, issuerRef },
      });
      await judgeRequest(cluster, metadata, 'Approved');
    }
  };
  await Promise.all(Array.from({ length: CREATORS }, work));
}

/** How long an approved request takes to be Ready, in ms. */
async function timeOne(cluster: Cluster, namespace: string, name: string): Promise<number> {
  await createMany(cluster, namespace, 'ca', [name]);
  const startMs = performance.now();
  for (;;) {
    const found = await cluster.client.get<CertificateRequest>(CERTIFICATE_REQUESTS, { namespace, name });
    if (readyOf(found)?.reason === 'Issued') return performance.now() - startMs;
  }
}

const numbered = (count: number): string[] => Array.from({ length: count }, (_, at) => `request-${at}`);

describe('isolation', () => {
  test(`${HANGING_ISSUERS} issuers that hang, with ${WAITING_EACH} requests each, delay nobody else`, async () => {
    const { cluster, controlPlane, cfssl } = await getServers('isolation');
    await using proxy = await startCfsslProxy(cfssl);
    const namespace = await createNamespace(cluster, 'isolated');
    const good = issuerManifests(cfssl, { name: 'ca', namespace });
    const bad = Array.from({ length: HANGING_ISSUERS }, (_, at) =>
      issuerManifests(cfssl, { name: `hangs-${at}`, namespace, spec: { url: proxy.url } }),
    );
    for (const { secret, issuer } of [good, ...bad]) {
      await cluster.create(secret);
      await cluster.create(issuer);
    }
    for (const { issuer } of bad) {
      const { name } = issuer.metadata;
      await createMany(
        cluster,
        namespace,
        name,
        numbered(WAITING_EACH).map((request) => `${name}-${request}`),
      );
    }
    proxy.fault = { of: 'signings', make: hang };
    await using _ = await startIssuer({ access: controlPlane });
    for (const { issuer } of [good, ...bad]) {
      const issuerAt = { resource: resourceOf(issuer), ...issuer.metadata };
      await cluster.waitFor<ObjectWithConditions>(issuerAt, (found) => isReady(found));
    }
    const times: number[] = [];
    for (const name of numbered(PROBES)) times.push(await timeOne(cluster, namespace, `good-${name}`));
    times.sort((a, b) => a - b);
    const p99 = times[Math.ceil(times.length * 0.99) - 1] ?? 0;
    assert.ok(p99 < 1_000, `the slowest of ${PROBES} took ${Math.round(p99)} ms`);
  });

  test(`a burst of ${BURST} requests of one namespace does not keep a request of another waiting`, async () => {
    const { cluster, controlPlane, cfssl } = await getServers('isolation');
    const [busy, quiet] = [await createNamespace(cluster, 'busy'), await createNamespace(cluster, 'quiet')];
    for (const namespace of [busy, quiet]) {
      const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace });
      await cluster.create(secret);
      await cluster.create(issuer);
    }
    await createMany(cluster, busy, 'ca', numbered(BURST));
    await using issuer = await startIssuer({ access: controlPlane });
    const issued = (): number =>
      issuer.readLog().filter((line) => line['msg'] === 'Certificate issued' && line['namespace'] === busy).length;
    while (issued() === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    const ms = await timeOne(cluster, quiet, 'single');
    assert.ok(issued() < BURST, 'the burst is still going on');
    assert.ok(ms < 2_000, `it took ${Math.round(ms)} ms`);
  });
});
