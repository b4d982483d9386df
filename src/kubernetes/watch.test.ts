/** Watches over real loopback sockets. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, test } from 'node:test';
import type { WatchEvent } from './client.ts';
import { isExpired, isTimeout } from './errors.ts';
import { errorOf, failure, start, until } from './testing/loopback-server.ts';
import { WIDGETS, type Widget } from './testing/test-support.ts';

describe('KubernetesClient.watch', () => {
  const options = { resourceVersion: '5', timeoutSeconds: 300 };
  const event = (name: string): string => `${JSON.stringify({ type: 'ADDED', object: { metadata: { name } } })}\n`;

  async function namesOf(watch: AsyncIterable<WatchEvent<Widget>>): Promise<string[]> {
    const names: string[] = [];
    for await (const { object } of watch) names.push(object.metadata.name);
    return names;
  }

  test('asks for bookmarks, yields events as they come, and ends when the server does', async (t) => {
    const { client, requests } = await start(t, (_, response) => {
      response.write(event('a') + event('b').slice(0, 9));
      setImmediate(() => response.end(event('b').slice(9) + event('c')));
    });
    let isOpen = false;
    const watch = client.watch<Widget>(WIDGETS, {
      ...options,
      onOpen: () => {
        isOpen = true;
      },
    });
    assert.deepEqual(await namesOf(watch), ['a', 'b', 'c']);
    assert.equal(isOpen, true);
    const query = 'watch=1&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=300';
    assert.equal(requests[0]?.url, `/apis/test.io/v1/widgets?${query}`);
  });

  test('a character that arrives in two parts is whole', async (t) => {
    const bytes = Buffer.from(event('größe-😀'));
    const { client } = await start(t, (_, response) => {
      response.socket?.setNoDelay(true);
      let sent = 0;
      const sendOne = (): void => {
        response.write(bytes.subarray(sent, sent + 1));
        sent++;
        if (sent < bytes.length) setImmediate(sendOne);
        else response.end();
      };
      sendOne();
    });
    assert.deepEqual(await namesOf(client.watch<Widget>(WIDGETS, options)), ['größe-😀']);
  });

  test('an ERROR event is thrown as what it is', async (t) => {
    const { client } = await start(t, (_, response) => {
      response.write(event('a'));
      response.end(`${JSON.stringify({ type: 'ERROR', object: failure(410, 'Expired') })}\n`);
    });
    assert.ok(isExpired(await errorOf(namesOf(client.watch<Widget>(WIDGETS, options)))));
  });

  test('a connection that breaks, a line without end and a line that is not JSON are errors', async (t) => {
    const { client, requests } = await start(
      t,
      (_, response) => {
        if (requests.length === 1) response.write(event('a'), () => response.destroy());
        else if (requests.length === 2) response.write('x'.repeat(2000));
        else response.write('{"type":\n');
      },
      { maxObjectBytes: 1000 },
    );
    for (const code of ['KUBERNETES_CONNECTION', 'KUBERNETES_TOO_LARGE', 'KUBERNETES_MALFORMED']) {
      assert.equal((await errorOf(namesOf(client.watch<Widget>(WIDGETS, options)))).code, code);
    }
  });

  test('the deadline is for the headers: silence after them is the reader’s to judge', async (t) => {
    const { client, clock, requests } = await start(t, (_, response) => {
      if (requests.length === 2) response.write(event('a'));
    });
    const unanswered = errorOf(namesOf(client.watch<Widget>(WIDGETS, options)));
    await until(() => requests.length === 1);
    await clock.advance(30_000);
    assert.ok(isTimeout(await unanswered));

    const stop = new AbortController();
    const seen: string[] = [];
    const silent = errorOf(
      (async () => {
        for await (const { object } of client.watch<Widget>(WIDGETS, { ...options, signal: stop.signal })) {
          seen.push(object.metadata.name);
        }
      })(),
    );
    await until(() => seen.length === 1);
    await clock.advance(3_600_000);
    const reason = new Error('Enough silence');
    stop.abort(reason);
    assert.equal(await silent, reason);
  });

  test('a reader that leaves closes the connection', async (t) => {
    let isClosed = false;
    const { client } = await start(t, (_, response) => {
      response.on('close', () => {
        isClosed = true;
      });
      response.write(event('a'));
    });
    const stop = new AbortController();
    for await (const _ of client.watch<Widget>(WIDGETS, { ...options, signal: stop.signal })) break;
    await until(() => isClosed);
    assert.equal(getEventListeners(stop.signal, 'abort').length, 0);
  });

  test('a callback that throws when the watch opens closes the connection too', async (t) => {
    let isClosed = false;
    const { client } = await start(t, (_, response) => {
      response.on('close', () => {
        isClosed = true;
      });
      response.write(event('a'));
    });
    const onOpen = (): void => {
      throw new Error('Mine');
    };
    assert.match((await errorOf(namesOf(client.watch<Widget>(WIDGETS, { ...options, onOpen })))).message, /Mine/);
    await until(() => isClosed);
  });
});
