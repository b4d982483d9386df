/**
 * What happens to a cluster while a reflector watches it: the API server stops, etcd is compacted, authorities and
 * tokens are replaced. Within 10 s of the end the store equals the server.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from 'undici';
import { type ClusterConfig, isUnauthorized } from '../src/kubernetes/index.ts';
import type { ControlPlane } from '../tools/servers/index.ts';
import { askKubectl, kubectl, Watcher, Writer } from './support/config-maps.ts';
import { createNamespace, getServers } from './support/environment.ts';
import { FaultProxy, isList, isPage, isWatch } from './support/fault-proxy.ts';
import { errorEvent, type Fault, passOn } from './support/faults.ts';

/** Has etcd forget all versions but the newest, through its socket. */
async function compact({ folder }: ControlPlane): Promise<void> {
  const etcd = new Agent({ connect: { socketPath: join(folder, 'localhost:1') } });
  const post = async (path: string, body: object): Promise<unknown> => {
    const request = { origin: 'http://etcd', path, method: 'POST', body: JSON.stringify(body) } as const;
    const answer = await etcd.request(request);
    assert.equal(answer.statusCode, 200, path);
    return await answer.body.json();
  };
  const { header } = (await post('/v3/kv/range', { key: 'AA==' })) as { header: { revision: string } };
  await post('/v3/kv/compaction', { revision: header.revision, physical: true });
  await etcd.close();
}

function configOf(access: ControlPlane): ClusterConfig {
  return {
    source: 'test',
    server: access.url,
    ca: { text: access.caPem },
    clientCertificate: { certificate: { text: access.clientCertificatePem }, key: { text: access.clientKeyPem } },
    authentication: { kind: 'none' },
  };
}

/** Objects in a namespace of their own, and a proxy. */
async function prepare() {
  const { controlPlane, cluster } = await getServers();
  const namespace = await createNamespace(cluster, 'outage');
  const writer = new Writer(cluster.client, namespace);
  await writer.create('kept', 'changed', 'deleted', 'replaced');
  const proxy = await FaultProxy.start(controlPlane);
  return { controlPlane, namespace, writer, proxy, truth: () => askKubectl(controlPlane, namespace) };
}

async function createFile(text: string): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'outage-'));
  const path = join(folder, 'file');
  await writeFile(path, text);
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

describe('Reflector, when the API server', () => {
  test('is stopped for 20 s and started again, catches up and asks little', async () => {
    const { controlPlane, namespace, writer, proxy: started, truth } = await prepare();
    await using proxy = started;
    await using near = new Watcher(configOf(controlPlane), { namespace });
    await using behindProxy = new Watcher(proxy.config, { namespace });
    await Promise.all([near.reflector.synced(), behindProxy.reflector.synced()]);
    await writer.changeAll();
    const before = await near.requests();
    await controlPlane.stopApiServer();
    await sleep(20_000);
    const during = (await near.requests()) - before;
    const counted = proxy.requests.length;
    await controlPlane.startApiServer();
    await writer.change('kept', 'afterwards');
    const expected = await truth();
    await Promise.all([near.converge(expected), behindProxy.converge(expected)]);
    assert.ok(during <= 20 && counted <= 20, `${during} and ${counted} requests`);
    await near.end();
    await behindProxy.end();
    await proxy.idle();
  });

  test('has had etcd compacted while we were disconnected, lists again', async () => {
    const { controlPlane, namespace, writer, proxy: started, truth } = await prepare();
    await using proxy = started;
    await using watcher = new Watcher(proxy.config, { namespace });
    await watcher.reflector.synced();
    await proxy.refuse();
    await writer.changeAll();
    await compact(controlPlane);
    await controlPlane.stopApiServer(); // Its own cache would still know the past.
    await controlPlane.startApiServer();
    await writer.change('kept', 'afterwards');
    const before = proxy.requests.length;
    await proxy.accept();
    await watcher.converge(await truth());
    assert.ok(watcher.lines.some((line) => line.includes('Place in the watch is lost')));
    assert.ok(proxy.requests.slice(before).some(isList));
    await watcher.end();
  });

  test('has etcd compacted in the middle of a list, has all of it', async () => {
    const { controlPlane, namespace, writer, proxy: started, truth } = await prepare();
    await using proxy = started;
    proxy.rewrite = (url) => url.replace('limit=500', 'limit=2');
    await using watcher = new Watcher(proxy.config, { namespace });
    await watcher.reflector.synced();
    proxy.inject({ when: isWatch, fault: errorEvent(410, 'Expired'), times: 1 });
    const { promise: compacted, resolve: goOn } = Promise.withResolvers<void>();
    const late: Fault = async (exchange) => {
      await compacted;
      await passOn(exchange);
    };
    const page = proxy.inject({ when: isPage, fault: late, times: 1 });
    proxy.resetConnections();
    await page.hit(1);
    await writer.changeAll();
    await compact(controlPlane);
    goOn();
    await watcher.converge(await truth());
    await watcher.end();
  });

  test('shows a certificate of a new authority, trusts it once the CA file does', async () => {
    const { namespace, writer, proxy: started, truth } = await prepare();
    await using proxy = started;
    await using ca = await createFile(proxy.caPem);
    await using watcher = new Watcher({ ...proxy.config, ca: { file: ca.path } }, { namespace });
    await watcher.reflector.synced();
    await proxy.rotateAuthority();
    proxy.resetConnections();
    await writer.changeAll();
    const before = proxy.requests.length;
    await sleep(3000);
    assert.equal(proxy.requests.length, before, 'an unknown authority was trusted');
    await writeFile(ca.path, proxy.caPem);
    await watcher.converge(await truth());
    await watcher.end();
    await proxy.idle();
  });

  test('accepts our token no more, goes on with the next one from its file', async () => {
    const { controlPlane, namespace, writer, proxy: started, truth } = await prepare();
    await using proxy = started;
    const where = `--namespace=${namespace}`;
    await kubectl(controlPlane, 'create', 'serviceaccount', 'watcher', where);
    const user = `--serviceaccount=${namespace}:watcher`;
    const rights = ['--verb=list,watch', '--resource=configmaps'];
    await kubectl(controlPlane, 'create', 'role', 'watcher', ...rights, where);
    await kubectl(controlPlane, 'create', 'rolebinding', 'watcher', '--role=watcher', user, where);
    const createToken = () => kubectl(controlPlane, 'create', 'token', 'watcher', where);
    await using token = await createFile(await createToken());
    const config = { ...proxy.config, authentication: { kind: 'token-file', file: token.path } } as const;
    await using watcher = new Watcher(config, { namespace });
    await watcher.reflector.synced();
    await kubectl(controlPlane, 'delete', 'serviceaccount', 'watcher', where);
    await kubectl(controlPlane, 'create', 'serviceaccount', 'watcher', where);
    await writer.changeAll();
    // The API server remembers a good token for 10 s.
    for (let i = 0; i < 60 && !watcher.failures.some(isUnauthorized); i++) {
      proxy.resetConnections();
      await sleep(500);
    }
    assert.ok(watcher.failures.some(isUnauthorized), watcher.lines.join(''));
    const next = await createToken();
    await writer.change('kept', 'afterwards');
    const expected = await truth();
    await writeFile(token.path, next);
    await watcher.converge(expected);
    const made = proxy.requests.length;
    assert.ok(made <= 60, `${made} requests`);
    await watcher.end();
    await proxy.idle();
  });
});
