/**
 * CFSSL's key is replaced while requests arrive all the time, with the new one as `key_next` in the Secret beforehand:
 * each request is issued, once, and none notices.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ISSUERS } from '../src/api/index.ts';
import { type Cluster, isReady, type ObjectWithConditions, resourceOf } from '../tools/cluster.ts';
import { type Cfssl, type CfsslOptions, startMultirootca } from '../tools/servers/index.ts';
import { createApproved, waitForAll } from './support/approved-requests.ts';
import { startCfsslProxy } from './support/cfssl-proxy.ts';
import { createNamespace, type Environment, getEnvironment, issuerManifests, readyOf } from './support/environment.ts';
import { until } from './support/until.ts';

const SECRETS = resourceOf({ apiVersion: 'v1', kind: 'Secret' });
const PAUSE_MS = 20;
/** How soon an issuer is ready again when its CFSSL is back. */
const BACK_WITHIN_MS = 5_000;

const cleanup = new AsyncDisposableStack();
after(() => cleanup.disposeAsync());

const newKey = (): string => randomBytes(32).toString('hex');

/** The same CFSSL with another key for the profile `server`. */
async function startWithKey({ ca, authKeys }: Cfssl, server: string): Promise<Cfssl> {
  const options: CfsslOptions = { ca, authKeys: { ...authKeys, server } };
  return cleanup.use(await startMultirootca(options));
}

/** Ends it, writes the new key into its configuration in place of the old, and starts it again, on the same port. */
async function restartWithKey(cfssl: Cfssl, server: string): Promise<void> {
  await cfssl.stopServer();
  const file = join(cfssl.folder, 'config.json');
  writeFileSync(file, readFileSync(file, 'utf8').replaceAll(cfssl.authKeys.server, server));
  await cfssl.startServer();
}

/** An Issuer `ca` in a new namespace, ready. */
async function createIssuer({ cluster }: Environment, cfssl: Cfssl, url: string): Promise<string> {
  const namespace = await createNamespace(cluster, 'rotation');
  const { secret, issuer } = issuerManifests(cfssl, { name: 'ca', namespace, spec: { url } });
  await cluster.create(secret);
  await cluster.create(issuer);
  await waitForKey(cluster, namespace, 'key');
  return namespace;
}

/** Waits until the issuer is ready and tells that it uses that field of its Secret. */
async function waitForKey(cluster: Cluster, namespace: string, keyInUse: 'key' | 'key_next'): Promise<void> {
  await cluster.waitFor<ObjectWithConditions>(
    { resource: ISSUERS, namespace, name: 'ca' },
    (found) => isReady(found) && found.status?.['keyInUse'] === keyInUse,
    { withinMs: 10_000 },
  );
}

async function setKeys(cluster: Cluster, namespace: string, fields: object): Promise<void> {
  await cluster.client.mergePatch(SECRETS, { namespace, name: 'ca-key' }, fields);
}

interface Traffic extends AsyncDisposable {
  /** Waits until so many further requests were created and approved. */
  pass(count: number): Promise<void>;
  /** Ends it, and waits until every request is issued; none may fail. Gives how many there were. */
  end(): Promise<number>;
  /** How long the issuer was not ready at a stretch. */
  notReadyMs(): number;
}

/** Requests that arrive all the time, and an eye on the issuer. */
function startTraffic(cluster: Cluster, namespace: string): Traffic {
  let created = 0;
  const over = new AbortController();
  let longestMs = 0;
  const create = async (): Promise<void> => {
    for (; !over.signal.aborted; await sleep(PAUSE_MS)) {
      await createApproved(cluster, namespace, [`request-${created}`]);
      created += 1;
    }
  };
  const look = async (): Promise<void> => {
    for (let readyAtMs = performance.now(); !over.signal.aborted; await sleep(PAUSE_MS)) {
      const found = await cluster.client.get<ObjectWithConditions>(ISSUERS, { namespace, name: 'ca' });
      if (readyOf(found)?.status === 'False') longestMs = Math.max(longestMs, performance.now() - readyAtMs);
      else readyAtMs = performance.now();
    }
  };
  const running = Promise.all([create(), look()]);
  const stop = async (): Promise<void> => {
    over.abort(new Error('It is over'));
    await running;
  };
  return {
    [Symbol.asyncDispose]: stop,
    pass: async (count) => {
      const last = created + count;
      await Promise.race([running, until('further requests arrive', () => created >= last)]);
    },
    end: async () => {
      await stop();
      await waitForAll(cluster, namespace, created);
      return created;
    },
    notReadyMs: () => Math.round(longestMs),
  };
}

/** By request, how many certificates CFSSL has issued for it. */
function countIssued({ issuer }: Environment, namespace: string): Map<unknown, number> {
  const counts = new Map<unknown, number>();
  for (const { msg, name, ...line } of issuer.readLog()) {
    if (msg === 'Certificate issued' && line['namespace'] === namespace) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

describe('key rotation with key_next, while requests arrive all the time', () => {
  /**
   * Goes through the whole of it; `replaceKey` makes CFSSL take the new key and not the old. Gives how many requests
   * there were, and how long the issuer was not ready at a stretch.
   */
  async function rotate(
    environment: Environment,
    { namespace, key, replaceKey }: { namespace: string; key: string; replaceKey: () => Promise<void> },
  ): Promise<{ readonly created: number; readonly notReadyMs: number }> {
    const { cluster } = environment;
    await using traffic = startTraffic(cluster, namespace);
    await traffic.pass(5);
    await setKeys(cluster, namespace, { stringData: { key_next: key } });
    await traffic.pass(5);
    await waitForKey(cluster, namespace, 'key');
    await replaceKey();
    await traffic.pass(5);
    await waitForKey(cluster, namespace, 'key_next');
    await setKeys(cluster, namespace, { stringData: { key }, data: { key_next: null } });
    await traffic.pass(5);
    await waitForKey(cluster, namespace, 'key');
    await traffic.pass(5);
    const created = await traffic.end();
    const issued = countIssued(environment, namespace);
    assert.equal(issued.size, created);
    assert.deepEqual([...new Set(issued.values())], [1], 'one certificate for each request');
    return { created, notReadyMs: traffic.notReadyMs() };
  }

  /** How many certificates these servers have issued, by their own logs. */
  function countSigned(...servers: readonly Cfssl[]): number {
    const text = servers.map(({ logFile }) => readFileSync(logFile, 'utf8')).join('');
    return text.split('[INFO] signed certificate with serial number').length - 1;
  }

  test('behind a load balancer: the issuer is ready throughout, and its status tells which key is in use', async () => {
    const environment = await getEnvironment('bare');
    const { cfssl } = environment;
    const key = newKey();
    const next = await startWithKey(cfssl, key);
    const proxy = cleanup.use(await startCfsslProxy(cfssl));
    const namespace = await createIssuer(environment, cfssl, proxy.url);
    const replaceKey = async (): Promise<void> => {
      proxy.server = next;
      await Promise.resolve();
    };
    const signedBefore = countSigned(cfssl, next);
    const { created, notReadyMs } = await rotate(environment, { namespace, key, replaceKey });
    assert.equal(notReadyMs, 0);
    assert.equal(countSigned(cfssl, next) - signedBefore, created);
  });

  test('of two servers, restarted one after the other: the issuer is ready throughout', async () => {
    const environment = await getEnvironment('bare');
    const key = newKey();
    const first = await startWithKey(environment.cfssl, newKey());
    const second = await startWithKey(first, first.authKeys.server);
    const namespace = await createIssuer(environment, first, `${first.url},${second.url}`);
    const replaceKey = async (): Promise<void> => {
      for (const server of [first, second]) await restartWithKey(server, key);
    };
    const { notReadyMs } = await rotate(environment, { namespace, key, replaceKey });
    assert.equal(notReadyMs, 0);
  });

  test('of one server that is restarted: the issuer is ready again within 5 s of that', async () => {
    const environment = await getEnvironment('bare');
    const key = newKey();
    const cfssl = await startWithKey(environment.cfssl, newKey());
    const namespace = await createIssuer(environment, cfssl, cfssl.url);
    let restartMs = 0;
    const replaceKey = async (): Promise<void> => {
      const startMs = performance.now();
      await restartWithKey(cfssl, key);
      restartMs = performance.now() - startMs;
    };
    const { notReadyMs } = await rotate(environment, { namespace, key, replaceKey });
    assert.ok(notReadyMs <= restartMs + BACK_WITHIN_MS, `not ready for ${notReadyMs} ms`);
  });
});
