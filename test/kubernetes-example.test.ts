/** docs/writing-a-controller.md: its example is the file that is run here, and does what it says. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LEASES, type Lease } from '../src/kubernetes/index.ts';
import { CONFIG_MAPS, type ConfigMap } from './support/config-maps.ts';
import { createNamespace, getServers } from './support/environment.ts';

const EXAMPLE = join(import.meta.dirname, 'examples/greeter.ts');

describe('The example of docs/writing-a-controller.md', () => {
  test('is the file that is run, in 60 lines at most', () => {
    const example = readFileSync(EXAMPLE, 'utf8');
    const page = readFileSync(join(import.meta.dirname, '../docs/writing-a-controller.md'), 'utf8');
    assert.ok(
      page.includes(`\`\`\`ts\n${example}\`\`\`\n`),
      'The page shows another text than test/examples/greeter.ts',
    );
    assert.ok(example.split('\n').length - 1 <= 60);
  });

  test('greets, and stops in good order', async () => {
    const { controlPlane, cluster } = await getServers();
    const namespace = await createNamespace(cluster, 'greeter');
    const program = spawn(process.execPath, [EXAMPLE], {
      env: { ...process.env, KUBECONFIG: controlPlane.kubeconfig },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const ended = once(program, 'exit');
    try {
      const create = (name: string, labels: object) =>
        cluster.client.create(CONFIG_MAPS, { metadata: { namespace, name, labels }, data: { name: 'Ada' } });
      await create('plain', {});
      await create('greeted', { greeter: 'on' });
      const at = { resource: CONFIG_MAPS, namespace };
      const greeting = ({ data }: ConfigMap): string | undefined => data?.['greeting'];
      await cluster.waitFor<ConfigMap>({ ...at, name: 'greeted' }, (found) => greeting(found) === 'Hello, Ada!');
      await cluster.client.mergePatch(CONFIG_MAPS, { namespace, name: 'greeted' }, { data: { name: 'Grace' } });
      await cluster.waitFor<ConfigMap>({ ...at, name: 'greeted' }, (found) => greeting(found) === 'Hello, Grace!');
      assert.equal(greeting(await cluster.client.get<ConfigMap>(CONFIG_MAPS, { namespace, name: 'plain' })), undefined);
    } finally {
      program.kill('SIGTERM');
    }
    assert.deepEqual(await ended, [0, null]);
    const lease = await cluster.client.get<Lease>(LEASES, { namespace: 'default', name: 'greeter' });
    assert.equal(lease.spec?.holderIdentity ?? '', '');
  });
});
