/** Watches of single objects on the real API server, by a user who may see one Secret of a namespace and no other. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createKubernetesClient,
  type KubernetesObject,
  type NamedObjectHandle,
  NamedObjectWatches,
} from '../src/kubernetes/index.ts';
import { Registry } from '../src/platform/index.ts';
import { CountingClock, keepLog, kubectl } from './support/config-maps.ts';
import { createNamespace, getServers } from './support/environment.ts';
import { FaultProxy, isWatch } from './support/fault-proxy.ts';

const SECRETS = { group: '', version: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true };
type Secret = KubernetesObject & { readonly data?: Readonly<Record<string, string>> };

describe('NamedObjectWatches', () => {
  test('see what RBAC grants by name, over one connection an object, for as long as somebody wants it', async () => {
    const { controlPlane, cluster } = await getServers();
    const namespace = await createNamespace(cluster, 'named');
    const where = `--namespace=${namespace}`;
    await kubectl(controlPlane, 'create', 'serviceaccount', 'reader', where);
    const rights = ['--verb=get,watch', '--resource=secrets', '--resource-name=mine'];
    await kubectl(controlPlane, 'create', 'role', 'reader', ...rights, where);
    const user = `--serviceaccount=${namespace}:reader`;
    await kubectl(controlPlane, 'create', 'rolebinding', 'reader', '--role=reader', user, where);
    const token = (await kubectl(controlPlane, 'create', 'token', 'reader', where)).trim();

    await using proxy = await FaultProxy.start(controlPlane);
    const clock = new CountingClock();
    const { log } = keepLog();
    const config = { ...proxy.config, authentication: { kind: 'token', token } } as const;
    const client = createKubernetesClient({ clock, log, registry: new Registry() }, config);
    const watches = new NamedObjectWatches({ client, clock, log, random: Math.random });
    const states: string[] = [];
    const acquire = (name: string): NamedObjectHandle<Secret> => {
      const handle = watches.acquire<Secret>(SECRETS, namespace, name, () => {
        const current = handle.current();
        const value = current.state === 'present' ? ` ${current.object.data?.['key']}` : '';
        states.push(`${name} ${current.state}${value}`);
      });
      return handle;
    };
    const until = async (state: string): Promise<void> => {
      for (let i = 0; i < 500 && states.at(-1) !== state; i++) await sleep(20);
      assert.equal(states.at(-1), state);
    };

    try {
      const theirs = acquire('theirs');
      await theirs.synced();
      assert.equal(theirs.current().state, 'failed');
      theirs.release();

      const [mine, again] = [acquire('mine'), acquire('mine')];
      await mine.synced();
      assert.equal(again.current().state, 'absent');
      again.release();
      const metadata = { namespace, name: 'mine' };
      await cluster.client.create(SECRETS, { metadata, data: { key: 'b25l' } });
      await until('mine present b25l');
      await cluster.client.mergePatch(SECRETS, metadata, { data: { key: 'dHdv' } });
      await until('mine present dHdv');
      await cluster.client.delete(SECRETS, metadata);
      await until('mine absent');
      const made = proxy.requests.filter((request) => isWatch(request) && request.url.includes('mine'));
      assert.equal(made.length, 1);
      mine.release();
      assert.equal(watches.size, 0);
    } finally {
      watches.close();
      await client.close();
    }
    await proxy.idle();
    assert.equal(clock.pendingTimers, 0);
  });
});
