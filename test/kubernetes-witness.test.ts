/**
 * Two independent witnesses, kubectl and the common client library, see what our client does and do what our reflector
 * sees, so that no misreading of the API can be on both sides of a test.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { CoreV1Api, KubeConfig, type V1ConfigMap } from '@kubernetes/client-node';
import { type KubernetesObject, keyOf, Reflector } from '../src/kubernetes/index.ts';
import { systemClock } from '../src/platform/index.ts';
import { resourceOf } from '../tools/cluster.ts';
import { ensureBinary } from '../tools/servers/index.ts';
import { createNamespace, getServers } from './support/environment.ts';
import { silentLog } from './support/silent-log.ts';

const CONFIG_MAPS = resourceOf({ apiVersion: 'v1', kind: 'ConfigMap' });

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

const nameOf = ({ metadata }: V1ConfigMap | ConfigMap): string => metadata?.name ?? '';

describe('kubectl and the common client library', () => {
  test('read what our client wrote, and our reflector sees what they write', async () => {
    const { cluster, controlPlane } = await getServers();
    const namespace = await createNamespace(cluster, 'witness');
    const kubectl = await ensureBinary('kubectl');
    const runKubectl = async (...words: string[]): Promise<string> => {
      const { stdout } = await promisify(execFile)(kubectl, [
        `--kubeconfig=${controlPlane.kubeconfig}`,
        `-n=${namespace}`,
        ...words,
      ]);
      return stdout;
    };
    const config = new KubeConfig();
    config.loadFromFile(controlPlane.kubeconfig);
    const library = config.makeApiClient(CoreV1Api);

    await cluster.client.create(CONFIG_MAPS, {
      metadata: { name: 'ours', namespace },
      data: { text: 'ä € 😀 \\u0000' },
    });
    const { items } = await library.listNamespacedConfigMap({ namespace });
    assert.deepEqual(
      items.map((item) => [nameOf(item), item.data]),
      [['ours', { text: 'ä € 😀 \\u0000' }]],
    );
    assert.equal(await runKubectl('get', 'configmap', 'ours', '-o', 'jsonpath={.data.text}'), 'ä € 😀 \\u0000');

    const deps = { client: cluster.client, clock: systemClock, log: silentLog, random: Math.random };
    const reflector = new Reflector<ConfigMap>(deps, { resource: CONFIG_MAPS, namespace });
    const stop = new AbortController();
    const running = reflector.run(stop.signal);
    await reflector.synced();
    await library.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'library' }, data: { by: 'library' } },
    });
    await runKubectl('create', 'configmap', 'kubectl', '--from-literal=by=kubectl');
    await runKubectl('patch', 'configmap', 'library', '--type=merge', '-p', '{"data":{"by":"both"}}');
    await library.deleteNamespacedConfigMap({ namespace, name: 'ours' });

    const expected = [
      [`${namespace}/kubectl`, { by: 'kubectl' }],
      [`${namespace}/library`, { by: 'both' }],
    ];
    const seen = (): unknown[] =>
      reflector.store
        .list()
        .map((object) => [keyOf(object), object.data] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1));
    const endMs = performance.now() + 10_000;
    while (JSON.stringify(seen()) !== JSON.stringify(expected) && performance.now() < endMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(seen(), expected);
    stop.abort(new Error('Done'));
    await running;
  });
});
