/** Which of its two keys `CfsslClient` signs its requests with. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { always, CSR, connect, errorOf, KEY, multirootca, NEXT_KEY, never } from './testing/client-setup.ts';
import { failure, startServer } from './testing/test-support.ts';

describe('CfsslClient keys', () => {
  const keys = { current: KEY, next: NEXT_KEY };

  test('key_next is tried where the server says that the token is wrong, and remembered', async (t) => {
    const server = await startServer(t, multirootca(NEXT_KEY));
    const client = connect(t, [server.url], { keys });
    assert.equal((await client.sign({ csrPem: CSR }, never)).keyInUse, 'key_next');
    assert.equal(server.seen.length, 2);
    assert.equal((await client.sign({ csrPem: CSR }, never)).keyInUse, 'key_next');
    assert.equal(server.seen.length, 3);
  });

  test('key comes first, and comes back when key_next is refused', async (t) => {
    const accepted = [KEY, NEXT_KEY];
    const server = await startServer(t, (seen, response) => multirootca(...accepted)(seen, response));
    let changes = 0;
    const client = connect(t, [server.url], { keys, onOtherKey: () => (changes += 1) });
    const signs: [accepted: (typeof KEY)[], keyInUse: string, changes: number][] = [
      [[KEY, NEXT_KEY], 'key', 0],
      [[NEXT_KEY], 'key_next', 1],
      [[NEXT_KEY], 'key_next', 1],
      [[KEY], 'key', 2],
    ];
    for (const [keys, keyInUse, told] of signs) {
      accepted.splice(0, accepted.length, ...keys);
      assert.equal((await client.sign({ csrPem: CSR }, never)).keyInUse, keyInUse);
      assert.equal(changes, told);
    }
    assert.equal(server.seen.length, 6);
  });

  test('each endpoint has its own', async (t) => {
    const a = await startServer(t, multirootca(KEY));
    const b = await startServer(t, multirootca(NEXT_KEY));
    const client = connect(t, [b.url, a.url], { keys });
    const { keyInUse, accepted, failures } = await client.probe(never);
    assert.deepEqual([keyInUse, accepted, failures], ['key_next', [b.url, a.url], []]);
    assert.equal(b.seen.length, 2);
    assert.equal(a.seen.length, 1);
  });

  test('both refused: the token is wrong', async (t) => {
    const server = await startServer(t, multirootca());
    const error = await errorOf(connect(t, [server.url], { keys }).sign({ csrPem: CSR }, never));
    assert.equal(error.code, 'CFSSL_INVALID_TOKEN');
    assert.equal(server.seen.length, 2);
  });

  for (const [name, status, body] of [
    ['bad request', 400, failure(1, 'bad request')],
    ["a proxy's own token", 400, failure(7400, failure(1, 'invalid token'))],
    ['an open outcome', 500, ''],
  ] as const) {
    test(`nothing but a wrong token calls for key_next: ${name}`, async (t) => {
      const server = await startServer(t, always(status, body));
      await errorOf(connect(t, [server.url], { keys }).sign({ csrPem: CSR }, never));
      assert.equal(server.seen.length, 1);
    });
  }
});
