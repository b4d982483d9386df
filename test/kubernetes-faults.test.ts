/**
 * A reflector behind a bad connection to the real API server: whatever goes wrong, within 10 s of its end the store
 * equals the server and its handler was told exactly that; meanwhile the server is not stormed, and afterwards nothing
 * is left over.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { askKubectl, Watcher, Writer } from './support/config-maps.ts';
import { createNamespace, getServers } from './support/environment.ts';
import { FaultProxy, isList, isPage, isWatch, type Rule } from './support/fault-proxy.ts';
import {
  answer,
  closedAfterEvent,
  closedAtOnce,
  closedBeforeEnd,
  closedTwice,
  cutWithinCharacter,
  duplicates,
  endsAfter,
  errorEvent,
  halfLine,
  passOn,
  resetAfter,
  resetBefore,
  resetWithin,
  silentFrom,
  slow,
  tornCharacters,
} from './support/faults.ts';

/** The connection before, during and after a fault. */
interface Scene {
  readonly proxy: FaultProxy;
  readonly writer: Writer;
  /** Creates, changes, deletes and replaces objects; to be called once, while the fault lasts. */
  readonly change: () => Promise<void>;
}

interface Case {
  readonly name: string;
  /** Makes the fault, changes objects under it, and ends it. */
  readonly fault: (scene: Scene) => Promise<void>;
  /** How many requests the fault alone explains; more come only with time. Default: 8. */
  readonly requests?: number;
  /** How much faster the watcher's clock runs. Default: 1. */
  readonly speed?: number;
}

/** How long a fault lasts that is to be met several times. */
const BURST_MS = 3000;

/** Requests that meet a fault, at least so often before it ends. */
function met(fault: Rule['fault'], { when, times = 1 }: { when: Rule['when']; times?: number }): Case['fault'] {
  return async ({ proxy, change }) => {
    const injection = proxy.inject({ when, fault });
    proxy.resetConnections();
    const over = times > 1 ? sleep(BURST_MS) : undefined;
    await change();
    await injection.hit(times);
    await over;
    injection.end();
  };
}

/** The watch's place is lost, so that there has to be a list, or pages of one. */
function afterLoss(fault: Case['fault']): Case['fault'] {
  return async (scene) => {
    const { proxy } = scene;
    proxy.rewrite = (url) => url.replace('limit=500', 'limit=2');
    proxy.inject({ when: isWatch, fault: errorEvent(410, 'Expired'), times: 1 });
    await fault(scene);
  };
}

/** The fault outlasts the test, for the one request that meets it: nobody tells us of the end of a dead connection. */
function forGood(fault: Rule['fault'], when: Rule['when']): Case['fault'] {
  return async ({ proxy, change }) => {
    const injection = proxy.inject({ when, fault, times: 1 });
    proxy.resetConnections();
    await injection.hit(1);
    await change();
  };
}

const watch = { when: isWatch };
const list = { when: isList };
const page = { when: isPage };
const unauthorized = { body: { reason: 'Unauthorized' } };
const expired = { body: { reason: 'Expired' } };
const wait = { headers: { 'retry-after': '1' } };

const CASES: readonly Case[] = [
  {
    name: 'connection refused',
    fault: async ({ proxy, change }) => {
      await proxy.refuse();
      await change();
      await sleep(BURST_MS);
      await proxy.accept();
    },
  },
  {
    name: 'network cut, on open and new connections',
    fault: async ({ proxy, change }) => {
      proxy.cut();
      await change();
      await sleep(BURST_MS);
      proxy.mend();
    },
  },
  { name: 'watch: reset before the answer', fault: met(resetBefore, { ...watch, times: 3 }) },
  { name: 'watch: reset within the answer', fault: met(resetWithin(300), { ...watch, times: 3 }) },
  { name: 'list: reset before the answer', fault: afterLoss(met(resetBefore, { ...list, times: 3 })) },
  { name: 'list: reset within the answer', fault: afterLoss(met(resetWithin(1000), { ...list, times: 3 })) },
  { name: 'list: reset after the answer', fault: afterLoss(met(resetAfter, { ...list, times: 2 })) },
  { name: 'watch: silent from the start', fault: met(silentFrom(0), watch) },
  { name: 'watch: silent from the start, for good', fault: forGood(silentFrom(0), isWatch), speed: 20 },
  { name: 'watch: silent after a while', fault: met(silentFrom(300), watch) },
  { name: 'watch: silent after a while, for good', fault: forGood(silentFrom(1), isWatch), speed: 20 },
  { name: 'list: silent from the start', fault: afterLoss(met(silentFrom(0), list)) },
  { name: 'list: silent in the middle, for good', fault: afterLoss(forGood(silentFrom(700), isList)), speed: 20 },
  { name: 'watch: slow bytes', fault: met(slow(64, 5), watch) },
  { name: 'list: slow bytes', fault: afterLoss(met(slow(64, 5), list)) },
  { name: 'watch: pieces that tear characters apart', fault: met(tornCharacters, watch) },
  { name: 'list: pieces that tear characters apart', fault: afterLoss(met(tornCharacters, list)) },
  { name: 'watch: reset in the middle of a character', fault: met(cutWithinCharacter, { ...watch, times: 3 }) },
  { name: 'watch: truncated JSON, the line not ended', fault: met(endsAfter(300), { ...watch, times: 3 }) },
  { name: 'watch: truncated JSON, the line ended', fault: met(halfLine, { ...watch, times: 3 }) },
  { name: 'list: truncated JSON', fault: afterLoss(met(endsAfter(1000), { ...list, times: 3 })) },
  { name: 'watch: 429 with Retry-After', fault: met(answer(429, wait), { ...watch, times: 3 }) },
  { name: 'list: 429 with Retry-After', fault: afterLoss(met(answer(429, wait), { ...list, times: 3 })) },
  { name: 'watch: burst of 500', fault: met(answer(500), { ...watch, times: 3 }) },
  { name: 'watch: burst of 503', fault: met(answer(503), { ...watch, times: 3 }) },
  { name: 'list: burst of 500', fault: afterLoss(met(answer(500), { ...list, times: 3 })) },
  { name: 'list: burst of 503 with Retry-After', fault: afterLoss(met(answer(503, wait), { ...list, times: 4 })) },
  { name: 'watch: 401, then fine', fault: met(answer(401, unauthorized), { ...watch, times: 2 }) },
  { name: 'list: 401, then fine', fault: afterLoss(met(answer(401, unauthorized), { ...list, times: 2 })) },
  { name: 'watch: answer 410', fault: met(answer(410, expired), { ...watch, times: 1 }) },
  { name: 'watch: ERROR event 410', fault: met(errorEvent(410, 'Expired'), watch) },
  { name: 'watch: 410 again and again', fault: met(errorEvent(410, 'Expired'), { ...watch, times: 3 }) },
  { name: 'list: 410', fault: afterLoss(met(answer(410, expired), { ...list, times: 2 })) },
  { name: 'page: 410', fault: afterLoss(met(answer(410, expired), page)) },
  { name: 'page: burst of 500', fault: afterLoss(met(answer(500), { ...page, times: 3 })), requests: 16 },
  { name: 'watch: ERROR event 500', fault: met(errorEvent(500, 'InternalError'), { ...watch, times: 3 }) },
  { name: 'watch: closed at once, repeatedly', fault: met(closedAtOnce, { ...watch, times: 4 }) },
  {
    name: 'watch: closed after the first event, repeatedly',
    fault: async ({ proxy, writer, change }) => {
      const injection = proxy.inject({ when: isWatch, fault: closedAfterEvent });
      proxy.resetConnections();
      await change();
      for (let i = 0; i < 60; i++) {
        await writer.change('kept', String(i));
        await sleep(BURST_MS / 60);
      }
      injection.end();
    },
  },
  { name: 'watch: closed twice', fault: met(closedTwice, { ...watch, times: 3 }) },
  { name: 'watch: connection closed before the answer', fault: met(closedBeforeEnd, { ...watch, times: 3 }) },
  { name: 'watch: every event twice', fault: met(duplicates, watch) },
];

describe('Reflector behind a faulty connection', { concurrency: 16 }, () => {
  for (const { name, fault, requests = 8, speed } of CASES) {
    test(name, async () => {
      const { controlPlane, cluster } = await getServers();
      const namespace = await createNamespace(cluster, 'faults');
      const writer = new Writer(cluster.client, namespace);
      await writer.create('kept', 'changed', 'deleted', 'replaced');
      await using proxy = await FaultProxy.start(controlPlane);
      const watched = proxy.inject({ when: isWatch, fault: passOn, times: 1 });
      await using watcher = new Watcher(proxy.config, { namespace, speed });
      await watched.hit(1);

      const startMs = performance.now();
      const before = await watcher.requests();
      await fault({ proxy, writer, change: () => writer.changeAll() });
      await watcher.converge(await askKubectl(controlPlane, namespace));
      const made = (await watcher.requests()) - before;
      const allowed = requests + (performance.now() - startMs) / 1000;
      assert.ok(made <= allowed, `${made} requests, more than ${allowed}`);

      await writer.change('kept', 'still watched');
      await watcher.converge(await writer.list());
      assert.ok(proxy.openConnections <= 3, `${proxy.openConnections} connections`);
      await watcher.end();
      await proxy.idle();
    });
  }
});
