/**
 * A namespace that goes away while its requests are being signed: it is gone soon, whatever CFSSL does, and nothing of it
 * keeps the program busy. The namespace controller of a real kube-controller-manager deletes what is in it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { resourceOf } from '../tools/cluster.ts';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import { createApproved, numbered, waitForAll } from './support/approved-requests.ts';
import { type CfsslProxy, type Fault, startCfsslProxy } from './support/cfssl-proxy.ts';
import { createNamespace, createReadyIssuer, getServers, type Servers } from './support/environment.ts';
import { waitForEvent } from './support/events.ts';
import { countWrites, readMetric } from './support/metrics.ts';
import { until } from './support/until.ts';

const NAMESPACES = resourceOf({ apiVersion: 'v1', kind: 'Namespace' });
const REQUESTS = 30;
/** For this long it is watched whether the program is quiet. */
const QUIET_MS = 3_000;
/** Of three issuers and 90 requests, each with up to three statuses and events. */
const MAX_WRITES = 90 * 6;

let servers: Servers;
let program: IssuerProcess;
let slow: CfsslProxy;
let silent: CfsslProxy;

before(async () => {
  servers = await getServers('namespaces', { controllerManager: true });
  program = await startIssuer({ access: servers.controlPlane });
  slow = await startCfsslProxy(servers.cfssl);
  silent = await startCfsslProxy(servers.cfssl);
});
after(async () => {
  for (const proxy of [slow, silent]) await proxy.close();
  await program.stop();
});

/** Forwards a call and holds the answer back until the time has come. */
function answerWhen(isTime: Promise<unknown>): Fault {
  return async ({ response, forward }) => {
    const { status, contentType, body } = await forward();
    await isTime;
    response.writeHead(status, { 'content-type': contentType }).end(body);
  };
}

/** A namespace with an Issuer whose CFSSL is slow, and requests of which some are on their way to it. */
async function createInFlight(proxy: CfsslProxy, isTime: () => Promise<unknown>): Promise<string> {
  const { cluster } = servers;
  const namespace = await createNamespace(cluster, 'goes');
  await createReadyIssuer(cluster, servers.cfssl, { namespace, spec: { url: proxy.url } });
  proxy.fault = { of: 'signings', make: (call) => answerWhen(isTime())(call) };
  await createApproved(cluster, namespace, numbered(REQUESTS));
  await until('CFSSL is asked', () => proxy.received > 0);
  return namespace;
}

/** Waits until nothing is left to do, and sees that for a while nothing is written and no event is tried. */
async function quiet(): Promise<void> {
  for (let before = -1, count = 0; before !== count; await sleep(QUIET_MS)) {
    before = count;
    count = (await countWrites(program, 'PATCH')) + (await countWrites(program, 'POST'));
    assert.ok(count < MAX_WRITES, `${count} writes`);
  }
  assert.equal(await readMetric(program, 'workqueue_depth'), 0);
}

describe('namespaces that go away in mid-flight, one while CFSSL is slow, one while it says nothing', () => {
  test('are gone with all of theirs, requests of others are issued, and the program is quiet', async () => {
    const { cluster } = servers;
    const stays = await createNamespace(cluster, 'stays');
    await createReadyIssuer(cluster, servers.cfssl, { namespace: stays });
    const gone = Promise.withResolvers<void>();
    const going = [await createInFlight(slow, () => sleep(300)), await createInFlight(silent, () => gone.promise)];

    for (const name of going) await cluster.client.delete(NAMESPACES, { name });
    await createApproved(cluster, stays, numbered(REQUESTS));
    await waitForAll(cluster, stays, REQUESTS);
    for (const name of going) await cluster.waitUntilGone({ resource: NAMESPACES, name });
    gone.resolve();

    // An event that cannot be written in a namespace that goes away must not hold up those after it.
    await createApproved(cluster, stays, ['last']);
    await waitForEvent(cluster, { namespace: stays, kind: 'CertificateRequest', name: 'last' }, 'Issued');
    await quiet();
    assert.deepEqual(
      program.readLog().filter(({ level }) => level === 'error'),
      [],
    );
    assert.equal(await readMetric(program, 'controller_runtime_reconcile_errors_total'), 0);
    for (const proxy of [slow, silent]) proxy.fault = undefined;
    for (const [at, name] of going.entries()) {
      assert.equal(await readMetric(program, 'cfssl_issuer_ready', `namespace="${name}"`), 0);
      // The same names again: nothing of the past stands in their way.
      await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      await createReadyIssuer(cluster, servers.cfssl, { namespace: name, spec: { url: [slow, silent][at]?.url } });
      await createApproved(cluster, name, numbered(REQUESTS));
      await waitForAll(cluster, name, REQUESTS);
    }
  });
});
