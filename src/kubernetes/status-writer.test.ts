import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { conflict, notFound, StatusClientDouble, unavailable } from '../../test/support/status-client.ts';
import type { KubernetesObject } from './resource.ts';
import { StatusWriter } from './status-writer.ts';

interface Widget extends KubernetesObject {
  readonly size?: number;
}

const WIDGETS = { group: 'example.com', version: 'v1', plural: 'widgets', kind: 'Widget', namespaced: true };
const { signal } = new AbortController();

const widget = (resourceVersion: string, more: { uid?: string; size?: number } = {}): Widget => {
  const { uid = 'uid-1', ...rest } = more;
  return {
    metadata: { name: 'one', namespace: 'team', uid, resourceVersion, creationTimestamp: '2026-11-24T12:00:00Z' },
    ...rest,
  };
};

function start() {
  const api = new StatusClientDouble();
  const writer = new StatusWriter<Widget>(
    { client: api.asKubernetesClient() },
    { resource: WIDGETS, fieldManager: 'us' },
  );
  const write = (build: (current: Widget) => object | undefined) =>
    writer.write(widget('1', { size: 1 }), build, { signal });
  return { api, write };
}

const sizeOf = ({ size }: Widget): object => ({ size });

describe('StatusWriter.write()', () => {
  test('applies to exactly the state that the status was made for', async () => {
    const { api, write } = start();
    assert.equal(await write(sizeOf), 'written');
    assert.deepEqual(api.applied, [
      {
        resource: 'Widget',
        object: { metadata: { name: 'one', namespace: 'team', resourceVersion: '1' }, status: { size: 1 } },
        fieldManager: 'us',
      },
    ]);
  });

  test('sends nothing when there is nothing to say', async () => {
    const { api, write } = start();
    assert.equal(await write(() => undefined), 'unchanged');
    assert.deepEqual([api.applied, api.readCount], [[], 0]);
  });

  test('after a conflict applies what is made of the newest state', async () => {
    const { api, write } = start();
    api.applyErrors.push(conflict(), conflict());
    api.reads.push(widget('2', { size: 2 }), widget('3', { size: 3 }));
    assert.equal(await write(sizeOf), 'written');
    assert.deepEqual(
      api.applied.map(({ object }) => [object.metadata.resourceVersion, object.status]),
      [
        ['1', { size: 1 }],
        ['2', { size: 2 }],
        ['3', { size: 3 }],
      ],
    );
  });

  test('after a conflict is done when the newest state says so already', async () => {
    const { api, write } = start();
    api.applyErrors.push(conflict());
    api.reads.push(widget('2', { size: 2 }));
    assert.equal(await write((current) => (current.size === 2 ? undefined : {})), 'unchanged');
    assert.equal(api.applied.length, 1);
  });

  test('gives up after ten conflicts', async () => {
    const { api, write } = start();
    for (let count = 0; count < 11; count += 1) {
      api.applyErrors.push(conflict());
      api.reads.push(widget(String(count)));
    }
    await assert.rejects(write(sizeOf), /409/);
    assert.equal(api.applied.length, 11);
  });

  for (const [name, found] of [
    ['is gone', notFound()],
    ['has another one of its name', widget('2', { uid: 'uid-2' })],
  ] as const) {
    test(`is done when the object ${name}`, async () => {
      const { api, write } = start();
      api.applyErrors.push(conflict());
      api.reads.push(found);
      assert.equal(await write(sizeOf), 'gone');
      assert.equal(api.applied.length, 1);
    });
  }

  test('is done when the object is not found at once', async () => {
    const { api, write } = start();
    api.applyErrors.push(notFound());
    assert.equal(await write(sizeOf), 'gone');
    assert.equal(api.readCount, 0);
  });

  test('lets other errors through, of the write and of the read', async () => {
    const { api, write } = start();
    api.applyErrors.push(unavailable());
    await assert.rejects(write(sizeOf), { code: 'KUBERNETES_CONNECTION' });
    api.applyErrors.push(conflict());
    api.reads.push(unavailable());
    await assert.rejects(write(sizeOf), { code: 'KUBERNETES_CONNECTION' });
  });
});
