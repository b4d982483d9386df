/**
 * One certificate per request, whatever breaks: faults between us and the API server, deletions, stops and kills, with
 * the certificates counted at CFSSL. Only a crash in mid-flight may cost more, one for each request in flight.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { CERTIFICATE_REQUESTS } from '../src/api/index.ts';
import { parseCsr } from '../src/x509/index.ts';
import { type Cluster, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import { createApproved, numbered, waitForAll } from './support/approved-requests.ts';
import { type CfsslProxy, hang, holdSignings, startCfsslProxy } from './support/cfssl-proxy.ts';
import {
  createNamespace,
  createReadyIssuer,
  getServers,
  readyOf,
  type Servers,
  waitForReason,
} from './support/environment.ts';
import { FaultProxy, isWatch } from './support/fault-proxy.ts';
import { answer, silentFrom } from './support/faults.ts';
import { until } from './support/until.ts';

let servers: Servers;
let cfssl: CfsslProxy;

before(async () => {
  servers = await getServers();
  cfssl = await startCfsslProxy(servers.cfssl);
});
after(() => cfssl.close());

/**
 * Has a request made and its signing held on the way to CFSSL; `release` lets CFSSL sign, and all that comes after it.
 */
async function holdSigning(cluster: Cluster, namespace: string): Promise<{ readonly release: () => void }> {
  const { count, release } = holdSignings(cfssl);
  await createApproved(cluster, namespace, ['request']);
  await until('the signing is held', () => count() === 1);
  return { release };
}

/** From here on the issuer does not see what becomes of requests, until the injection ends. */
async function silenceRequests(api: FaultProxy): Promise<{ readonly end: () => void }> {
  const injection = api.inject({
    when: (request) => isWatch(request) && request.url.includes('/certificaterequests?'),
    fault: silentFrom(0),
  });
  api.resetConnections();
  await injection.hit(1);
  return injection;
}

/** A way to the API server that can break, as a kubeconfig. */
async function startBreakableAccess(
  t: TestContext,
): Promise<{ readonly api: FaultProxy; readonly kubeconfig: string }> {
  const api = await FaultProxy.start(servers.controlPlane);
  const folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  t.after(async () => {
    await api[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  const kubeconfig = join(folder, 'kubeconfig');
  const caData = Buffer.from(api.caPem).toString('base64');
  writeFileSync(
    kubeconfig,
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'proxy',
      clusters: [{ name: 'proxy', cluster: { server: api.url, 'certificate-authority-data': caData } }],
      users: [{ name: 'proxy', user: {} }],
      contexts: [{ name: 'proxy', context: { cluster: 'proxy', user: 'proxy' } }],
    }),
  );
  return { api, kubeconfig };
}

/** An Issuer `ca` in a new namespace, whose CFSSL is the counting proxy, checked by that process. */
async function createIssuer(cluster: Cluster, spec: object = {}): Promise<string> {
  const namespace = await createNamespace(cluster, 'once');
  await createReadyIssuer(cluster, servers.cfssl, { namespace, spec: { url: cfssl.url, ...spec } });
  return namespace;
}

describe('one certificate per request', () => {
  for (const failures of [1, 5, 50]) {
    test(`while the status write fails ${failures} times`, async (t) => {
      const { cluster } = servers;
      const { api, kubeconfig } = await startBreakableAccess(t);
      await using _ = await startIssuer({ access: { kubeconfig } });
      const namespace = await createIssuer(cluster);
      const before = cfssl.forwarded;
      const injection = api.inject({
        when: ({ method, url }) => method === 'PATCH' && url.includes(`/${namespace}/certificaterequests/`),
        fault: answer(failures === 5 ? 503 : 500),
        times: failures,
      });
      await createApproved(cluster, namespace, ['request']);
      await waitForAll(cluster, namespace, 1, 90_000);
      assert.equal(injection.hits, failures);
      assert.equal(cfssl.forwarded - before, 1);
    });
  }

  test('when the connection to the API server is cut after the POST', async (t) => {
    const { cluster } = servers;
    const { api, kubeconfig } = await startBreakableAccess(t);
    await using _ = await startIssuer({ access: { kubeconfig } });
    const namespace = await createIssuer(cluster);
    const before = cfssl.forwarded;
    const { release } = await holdSigning(cluster, namespace);
    await api.refuse();
    release();
    await until('CFSSL has signed', () => cfssl.forwarded === before + 1);
    await sleep(2_000);
    await api.accept();
    await waitForAll(cluster, namespace, 1);
    assert.equal(cfssl.forwarded - before, 1);
  });

  test('while the watch tells nothing for 10 s, and the issuer changes meanwhile', async (t) => {
    const { cluster } = servers;
    const { api, kubeconfig } = await startBreakableAccess(t);
    await using _ = await startIssuer({ access: { kubeconfig } });
    const namespace = await createIssuer(cluster);
    const before = cfssl.forwarded;
    const { release } = await holdSigning(cluster, namespace);
    const injection = await silenceRequests(api);
    release();
    await waitForReason(cluster, { namespace, name: 'request' }, 'Issued');
    const issuers = resourceOf({ apiVersion: 'cfssl-issuer.wikimedia.org/v1alpha1', kind: 'Issuer' });
    await cluster.client.mergePatch(issuers, { namespace, name: 'ca' }, { spec: { profile: 'server-short' } });
    const at = { resource: issuers, namespace, name: 'ca' };
    await cluster.waitFor<ObjectWithConditions>(at, (found) => readyOf(found)?.observedGeneration === 2);
    await sleep(10_000);
    assert.equal(cfssl.forwarded - before, 1);
    injection.end();
  });

  test('and a request that is deleted in mid-sign and made again gets its own', async () => {
    const { cluster, controlPlane } = servers;
    await using _ = await startIssuer({ access: controlPlane });
    const namespace = await createIssuer(cluster);
    const before = cfssl.forwarded;
    const { release } = await holdSigning(cluster, namespace);
    await cluster.client.delete(CERTIFICATE_REQUESTS, { namespace, name: 'request' });
    await createApproved(cluster, namespace, ['request']);
    release();
    const request = await waitForReason(cluster, { namespace, name: 'request' }, 'Issued');
    const csr = parseCsr(Buffer.from(request.spec.request, 'base64').toString('utf8'));
    const certificate = new X509Certificate(Buffer.from(request.status?.certificate ?? '', 'base64'));
    const spki = certificate.publicKey.export({ format: 'der', type: 'spki' });
    assert.deepEqual(Buffer.from(csr.spkiDer), spki, 'the certificate is for the key of the new request');
    assert.equal(cfssl.forwarded - before, 2, 'one for each of the two requests');
  });

  test('across 20 s without API server', async () => {
    const { cluster, controlPlane } = servers;
    await using _ = await startIssuer({ access: controlPlane });
    const namespace = await createIssuer(cluster);
    const before = cfssl.forwarded;
    await createApproved(cluster, namespace, numbered(40));
    await until('CFSSL has signed', () => cfssl.forwarded > before);
    await controlPlane.stopApiServer();
    await sleep(20_000);
    await controlPlane.startApiServer();
    await waitForAll(cluster, namespace, 40);
    assert.equal(cfssl.forwarded - before, 40);
  });

  test('when the leader stops in the middle of a burst and another takes over', async () => {
    const { cluster, controlPlane } = servers;
    const flags = ['--enable-leader-election'];
    const start = (): Promise<IssuerProcess> => startIssuer({ access: controlPlane, flags });
    await using first = await start();
    const namespace = await createIssuer(cluster);
    await using _ = await start();
    const before = cfssl.forwarded;
    const burst = createApproved(cluster, namespace, numbered(100));
    await until('a burst is on its way', () => cfssl.forwarded > before + 5);
    process.kill(first.pid, 'SIGTERM');
    const stoppedMs = performance.now();
    assert.equal(await first.ended, 'exit code 0');
    await burst;
    await waitForAll(cluster, namespace, 100);
    assert.ok(performance.now() - stoppedMs < 20_000);
    assert.equal(cfssl.forwarded - before, 100);
  });
});

describe('one certificate per request, by a new leader', () => {
  test('whose watch has told nothing of what the old one signed', async (t) => {
    const { cluster, controlPlane } = servers;
    const { api, kubeconfig } = await startBreakableAccess(t);
    const flags = ['--enable-leader-election'];
    await using first = await startIssuer({ access: controlPlane, flags });
    const namespace = await createIssuer(cluster);
    await using second = await startIssuer({ access: { kubeconfig }, flags });
    const before = cfssl.forwarded;
    const { release } = await holdSigning(cluster, namespace);
    const injection = await silenceRequests(api);
    release();
    await waitForReason(cluster, { namespace, name: 'request' }, 'Issued');
    process.kill(first.pid, 'SIGTERM');
    assert.equal(await first.ended, 'exit code 0');
    await until('the second leads', () => second.readLog().some(({ msg }) => msg === 'Became leader'));
    await sleep(3_000);
    assert.equal(cfssl.forwarded - before, 1);
    injection.end();
    api.resetConnections();
    await createApproved(cluster, namespace, ['later']);
    await waitForAll(cluster, namespace, 2);
    assert.equal(cfssl.forwarded - before, 2);
  });
});

describe('a stop while CFSSL holds an answer back', () => {
  test('waits for it and writes the certificate', async () => {
    const { cluster, controlPlane } = servers;
    await using issuer = await startIssuer({ access: controlPlane });
    const namespace = await createIssuer(cluster);
    const before = cfssl.forwarded;
    const { release } = await holdSigning(cluster, namespace);
    process.kill(issuer.pid, 'SIGTERM');
    await until('it stops', () => issuer.readLog().some(({ msg }) => String(msg).startsWith('Stopping')));
    release();
    assert.equal(await issuer.ended, 'exit code 0');
    await waitForAll(cluster, namespace, 1);
    assert.equal(cfssl.forwarded - before, 1);
  });

  test('ends within 25 s when it never comes', async () => {
    const { cluster, controlPlane } = servers;
    await using issuer = await startIssuer({ access: controlPlane });
    const namespace = await createIssuer(cluster, { timeout: '2m' });
    const before = cfssl.received;
    cfssl.fault = { of: 'signings', make: hang };
    await createApproved(cluster, namespace, ['request']);
    await until('CFSSL has been asked', () => cfssl.received > before);
    process.kill(issuer.pid, 'SIGTERM');
    const stoppedMs = performance.now();
    assert.equal(await issuer.ended, 'exit code 0');
    assert.ok(performance.now() - stoppedMs < 25_000);
    cfssl.fault = undefined;
  });
});

describe('kill -9 in the middle of 500 signings', () => {
  test('costs at most one certificate for each of 16 workers, and every request is issued', async () => {
    const { cluster, controlPlane } = servers;
    await using first = await startIssuer({ access: controlPlane });
    const namespace = await createIssuer(cluster);
    const before = cfssl.forwarded;
    const burst = createApproved(cluster, namespace, numbered(500));
    await until('100 are signed', () => cfssl.forwarded > before + 100);
    process.kill(first.pid, 'SIGKILL');
    await first.ended;
    await using _ = await startIssuer({ access: controlPlane });
    await burst;
    await waitForAll(cluster, namespace, 500);
    const issued = cfssl.forwarded - before;
    assert.ok(issued >= 500 && issued <= 516, `${issued} certificates`);
  });
});
