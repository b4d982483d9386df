/** The real servers of demo and tests: several at once, restarts, builds that fail, and nothing left behind. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { Agent, request } from 'undici';
import { openCluster, resourceOf } from '../tools/cluster.ts';
import {
  ensureBinary,
  type ServersError,
  startCfsslServe,
  startControlPlane,
  startMultirootca,
} from '../tools/servers/index.ts';
import { createNamespace, getServers } from './support/environment.ts';

const NAMESPACES = resourceOf({ apiVersion: 'v1', kind: 'Namespace' });

async function info(server: { readonly url: string; readonly caPem: string }): Promise<number> {
  const agent = new Agent({ connect: { ca: server.caPem } });
  try {
    const body = JSON.stringify({ label: 'intermediate2' });
    const answer = await request(`${server.url}/api/v1/cfssl/info`, { method: 'POST', body, dispatcher: agent });
    await answer.body.dump();
    return answer.statusCode;
  } finally {
    await agent.close();
  }
}

/** An environment without Go and with an empty cache. */
function withoutGo(): { readonly env: NodeJS.ProcessEnv; readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'no-go-'));
  return { folder, env: { PATH: folder, XDG_CACHE_HOME: folder, HOME: folder } };
}

describe('ensureBinary()', () => {
  test('without Go says what to do', async () => {
    const { env, folder } = withoutGo();
    await assert.rejects(ensureBinary('etcd', { env }), (error: ServersError) => {
      assert.equal(error.code, 'SERVERS_NO_GO');
      assert.match(error.message, /Cannot build etcd 3\.6\.\d+: there is no `go` in PATH/);
      assert.match(error.message, /install Go 1\.26 or newer/);
      assert.match(error.message, /KUBEBUILDER_ASSETS/);
      return true;
    });
    rmSync(folder, { recursive: true });
  });

  test('of a build that fails says which and why', async () => {
    const { env, folder } = withoutGo();
    env['PATH'] = `${folder}:/usr/bin:/bin`;
    const go = join(folder, 'go');
    writeFileSync(go, '#!/bin/sh\n[ "$1" = env ] && exit 0\necho "no space left on device" >&2\nexit 2\n');
    chmodSync(go, 0o755);
    await assert.rejects(ensureBinary('multirootca', { env }), (error: ServersError) => {
      assert.equal(error.code, 'SERVERS_BUILD_FAILED');
      assert.match(error.message, /Cannot build multirootca 1\.7\.1: go ended with exit code 2/);
      assert.match(error.message, /no space left on device/);
      return true;
    });
    rmSync(folder, { recursive: true });
  });

  test('takes etcd, kube-apiserver and kubectl from KUBEBUILDER_ASSETS, and says when one is missing', async () => {
    const { env, folder } = withoutGo();
    writeFileSync(join(folder, 'etcd'), '');
    const assets = { ...env, KUBEBUILDER_ASSETS: folder };
    assert.equal(await ensureBinary('etcd', { env: assets }), join(folder, 'etcd'));
    await assert.rejects(ensureBinary('kubectl', { env: assets }), { code: 'SERVERS_ASSETS_INCOMPLETE' });
    rmSync(folder, { recursive: true });
  });
});

describe('real servers', () => {
  test('of one kind run side by side, and stop() leaves no folder', async () => {
    const servers = await Promise.all([startMultirootca(), startMultirootca(), startCfsslServe()]);
    assert.equal(new Set(servers.map(({ url }) => url)).size, 3);
    assert.deepEqual(await Promise.all(servers.map(info)), [200, 200, 200]);
    const [first, ...others] = servers;
    await first.stop();
    assert.deepEqual(await Promise.all(others.map(info)), [200, 200]);
    await Promise.all(others.map((server) => server.stop()));
    assert.deepEqual(
      servers.map(({ folder }) => existsSync(folder)),
      [false, false, false],
    );
  });

  test('a control plane keeps its data while its API server is down', async () => {
    const { controlPlane, cluster } = await getServers();
    const name = await createNamespace(cluster, 'kept');
    await controlPlane.stopApiServer();
    await controlPlane.startApiServer();
    await cluster.client.get(NAMESPACES, { name });
  });

  test('with kube-controller-manager, deleted namespaces go away', async () => {
    await using controlPlane = await startControlPlane({ controllerManager: true });
    const cluster = openCluster(controlPlane);
    const name = await createNamespace(cluster, 'deleted');
    await cluster.client.delete(NAMESPACES, { name });
    await cluster.waitUntilGone({ resource: NAMESPACES, name });
    await cluster.close();
  });
});
