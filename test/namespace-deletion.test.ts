/**
 * A namespace that goes away while its requests are being signed: it is gone soon, whatever CFSSL does, and nothing of it
 * keeps the program busy. The namespace controller of a real kube-controller-manager deletes what is in it.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { type IssuerProcess, startIssuer } from '../tools/issuer-process.ts';
import { createApproved, numbered, waitForAll } from './support/approved-requests.ts';
import { type CfsslProxy, type Fault, startCfsslProxy } from './support/cfssl-proxy.ts';
import { createNamespace, getServers, issuerManifests, type Servers } from './support/environment.ts';
import { countWrites, readMetric } from './support/metrics.ts';
import { until } from './support/until.ts';

const NAMESPACES = resourceOf({ apiVersion: 'v1', kind: 'Namespace' });
const REQUESTS = 30;
/** For this long it is watched whether the program is quiet. */
const QUIET_MS = 3_000;

let servers: Servers;
let program: IssuerProcess;
let proxy: CfsslProxy;

before(async () => {
  servers = await getServers('namespaces', { controllerManager: true });
  program = await startIssuer({ access: servers.controlPlane });
  proxy = await startCfsslProxy(servers.cfssl);
});
after(async () => {
  await proxy.close();
  await program.stop();
});

/** A Secret and an Issuer `ca` in the namespace, ready. */
async function createIssuer(namespace: string, spec: object = {}): Promise<void> {
  const { cluster, cfssl } = servers;
  const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec });
  await cluster.create(secret);
  await cluster.create(issuer);
  const at = { resource: resourceOf(issuer), namespace, name: 'ca' };
  await cluster.waitFor<ObjectWithConditions>(at, (found) => isReady(found));
}

/** Forwards a call and holds the answer back until the time has come. */
function answerWhen(isTime: Promise<unknown>): Fault {
  return async ({ response, forward }) => {
    const { status, contentType, body } = await forward();
    await isTime;
    response.writeHead(status, { 'content-type': contentType }).end(body);
  };
}

describe('a namespace that goes away in mid-flight', () => {
  const ways = [
    ['while CFSSL takes 300 ms for each answer', 'during'],
    ['while CFSSL holds its answers back until it is gone', 'after'],
  ] as const;
  for (const [name, when] of ways) {
    test(`${name}: all of it is gone, others are issued, and the program is quiet`, async () => {
      const { cluster } = servers;
      const stays = await createNamespace(cluster, 'stays');
      await createIssuer(stays);
      const goes = await createNamespace(cluster, 'goes');
      await createIssuer(goes, { url: proxy.url });
      const gone = Promise.withResolvers<void>();
      const make: Fault = (call) => answerWhen(when === 'after' ? gone.promise : sleep(300))(call);
      proxy.fault = { of: 'signings', make };
      const receivedBefore = proxy.received;
      await createApproved(cluster, goes, numbered(REQUESTS));
      await until('CFSSL is asked', () => proxy.received > receivedBefore);

      await cluster.client.delete(NAMESPACES, { name: goes });
      await createApproved(cluster, stays, numbered(REQUESTS));
      await waitForAll(cluster, stays, REQUESTS);
      await cluster.waitUntilGone({ resource: NAMESPACES, name: goes });
      gone.resolve();
      proxy.fault = undefined;

      await quiet();
      const lines = program
        .readLog()
        .filter((line) => line['namespace'] === goes || line['msg'] !== 'Certificate issued');
      const wrong = lines.filter(({ level }) => level === 'error');
      assert.deepEqual(wrong, []);
      assert.equal(await readMetric(program, 'controller_runtime_reconcile_errors_total'), 0);
      assert.equal(await readMetric(program, 'cfssl_issuer_ready', `namespace="${goes}"`), 0);

      // The same names again: nothing of the past stands in their way.
      await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: goes } });
      await createIssuer(goes, { url: proxy.url });
      await createApproved(cluster, goes, numbered(REQUESTS));
      await waitForAll(cluster, goes, REQUESTS);
    });
  }

  /** Waits until nothing is left to do, and sees that for a while nothing is written and no event is tried. */
  async function quiet(): Promise<void> {
    for (let before = -1, count = 0; before !== count; await sleep(QUIET_MS)) {
      before = count;
      count = (await countWrites(program, 'PATCH')) + (await countWrites(program, 'POST'));
      assert.ok(count < 50 * REQUESTS, `${count} writes`);
    }
    assert.equal(await readMetric(program, 'workqueue_depth'), 0);
  }
});
