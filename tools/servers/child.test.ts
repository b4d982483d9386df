import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { type ServerProcess, startServerProcess } from './child.ts';
import type { ServersError } from './errors.ts';
import { type Stoppable, startInFolder } from './folder.ts';
import { withFreePort } from './ports.ts';

/** Starts `script` as the server `fake`; it is ready when it has made a file `ready`. */
function startFake(
  script: string,
  { readyWithinMs = 20_000, signal }: { readyWithinMs?: number; signal?: AbortSignal } = {},
): Promise<{ server: ServerProcess; path: string } & Stoppable> {
  return startInFolder('fake', async (folder, undo) => {
    const server = await startServerProcess({
      name: 'fake',
      folder,
      readyWithinMs,
      signal,
      command: ['sh', '-c', script],
      isReady: async () => existsSync(join(folder.path, 'ready')),
    });
    undo.defer(() => server.stop());
    return { server, path: folder.path };
  });
}

const SERVE = 'echo serving; touch ready; while :; do sleep 0.05; done';

describe('startServerProcess()', () => {
  test('waits until the server is ready, keeps its log in a file, and leaves nothing after stop()', async () => {
    const fake = await startFake(SERVE);
    assert.equal(readFileSync(fake.server.logFile, 'utf8'), 'serving\n');

    await Promise.all([fake.stop(), fake.stop()]);

    assert.match(await fake.server.ended, /^signal 15$/);
    assert.equal(existsSync(fake.path), false);
  });

  test('is undone by `await using`', async () => {
    let path: string;
    {
      await using fake = await startFake(SERVE);
      ({ path } = fake);
      assert.equal(existsSync(path), true);
    }
    assert.equal(existsSync(path), false);
  });

  test('says how a server ended that was never ready, quotes its log and keeps the folder', async () => {
    const error = await rejection(startFake('echo starting; echo cannot read key; exit 4'));

    assert.equal(error.code, 'SERVERS_START_FAILED');
    const folder = keptFolder(error);
    assert.equal(
      error.message,
      `Cannot start fake: it ended with exit code 4 before it was ready
The last lines of ${folder}/fake.log:
  starting
  cannot read key
${folder} is kept`,
    );
    rmSync(folder, { recursive: true });
  });

  test('ends a server that is not ready in time', async () => {
    const error = await rejection(startFake('while :; do sleep 0.05; done', { readyWithinMs: 200 }));

    const folder = keptFolder(error);
    assert.match(error.message, /^Cannot start fake: it was not ready within 0.2 s\nIts log .*fake\.log is empty\n/);
    rmSync(folder, { recursive: true });
  });

  test('recognizes a taken address', async () => {
    const error = await rejection(startFake('echo "listen tcp: bind: address already in use"; exit 1'));

    assert.equal(error.code, 'SERVERS_ADDRESS_IN_USE');
    rmSync(keptFolder(error), { recursive: true });
  });

  test('rejects with the reason of its signal and leaves nothing behind', async () => {
    const aborting = new AbortController();
    const reason = new Error('enough');
    let path = '';
    const starting = startInFolder('fake', async (folder) => {
      ({ path } = folder);
      return startServerProcess({
        name: 'fake',
        folder,
        signal: aborting.signal,
        command: ['sh', '-c', SERVE],
        isReady: async () => {
          aborting.abort(reason);
          return false;
        },
      });
    });

    await assert.rejects(starting, reason);

    assert.equal(existsSync(path), false);
  });
});

describe('withFreePort()', () => {
  test('offers another port while the server finds its own taken', async () => {
    const offered: number[] = [];
    const port = await withFreePort(async (port) => {
      offered.push(port);
      if (offered.length < 3) await startTaken();
      return port;
    });

    assert.equal(offered.length, 3);
    assert.equal(new Set(offered).size, 3);
    assert.equal(port, offered[2]);
  });

  test('gives up after five, and at once on any other error', async () => {
    let attempts = 0;
    const failing = withFreePort(() => {
      attempts++;
      return startTaken();
    });
    assert.equal((await rejection(failing)).code, 'SERVERS_ADDRESS_IN_USE');
    assert.equal(attempts, 5);

    await assert.rejects(
      withFreePort(async () => {
        attempts++;
        throw new Error('other');
      }),
      /other/,
    );
    assert.equal(attempts, 6);
  });

  test('offers ports that can be bound, each once', async () => {
    const ports = await Promise.all(Array.from({ length: 20 }, () => withFreePort(async (port) => port)));

    assert.equal(new Set(ports).size, 20);
    for (const port of ports) {
      await using server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(port, '127.0.0.1', resolve);
      });
    }
  });
});

/** Starts a server that finds its port taken. */
async function startTaken(): Promise<never> {
  const error = await rejection(startFake('echo "bind: address already in use"; exit 1'));
  rmSync(keptFolder(error), { recursive: true });
  throw error;
}

async function rejection(promise: Promise<unknown>): Promise<ServersError> {
  try {
    await promise;
  } catch (error) {
    return error as ServersError;
  }
  return assert.fail('it did not reject');
}

function keptFolder(error: ServersError): string {
  const kept = /^(\S+) is kept$/m.exec(error.message)?.[1];
  assert.ok(kept !== undefined && existsSync(kept), error.message);
  return kept;
}
