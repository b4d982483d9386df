import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { spawnGuarded } from './guardian.ts';

// A server that writes its process id, says that it was asked to end, and ends.
const OBEDIENT = `trap 'echo asked; exit 3' TERM; echo $$ > pid; while :; do sleep 0.05; done`;
// One that does not end when asked.
const STUBBORN = `trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done`;

describe('spawnGuarded()', () => {
  test('end(keep) asks the process to end and leaves its folder and log', async () => {
    const { folder, logFile } = makeFolder();
    const guarded = spawnGuarded({ folder, logFile, cwd: folder, command: ['sh', '-c', OBEDIENT] });
    const pid = await readPid(folder);

    assert.equal(await guarded.end('keep'), 'exit code 3');

    assert.equal(isRunning(pid), false);
    assert.equal(readFileSync(logFile, 'utf8'), 'asked\n');
    rmSync(folder, { recursive: true });
  });

  test('end() kills a process that does not end within its grace', async () => {
    const { folder, logFile } = makeFolder();
    const guarded = spawnGuarded({ folder, logFile, cwd: folder, command: ['sh', '-c', STUBBORN], graceMs: 100 });
    const pid = await readPid(folder);

    assert.equal(await guarded.end('remove'), 'signal 9');

    assert.equal(isRunning(pid), false);
    assert.equal(existsSync(folder), false);
  });

  test('end() of a group kills what the process has started too', async () => {
    const { folder, logFile } = makeFolder();
    const command = ['sh', '-c', `(${STUBBORN.replace('$$', '$(exec sh -c "echo $PPID")')}) & wait`] as const;
    const guarded = spawnGuarded({ folder, logFile, cwd: folder, command, ending: 'group' });
    const pid = await readPid(folder);

    assert.equal(await guarded.end('keep'), 'signal SIGKILL');

    await until(() => !isRunning(pid));
    rmSync(folder, { recursive: true });
  });

  test('end(remove) removes the folder too', async () => {
    const { folder, logFile } = makeFolder();
    const guarded = spawnGuarded({ folder, logFile, cwd: folder, command: ['sh', '-c', OBEDIENT] });
    const pid = await readPid(folder);

    await guarded.end('remove');

    assert.equal(isRunning(pid), false);
    assert.equal(existsSync(folder), false);
  });

  test('a process that ends by itself is reported with its exit code, and its folder stays', async () => {
    const { folder, logFile } = makeFolder();
    const guarded = spawnGuarded({ folder, logFile, command: ['sh', '-c', 'echo no; exit 7'] });

    assert.equal(await guarded.ended, 'exit code 7');

    assert.equal(await guarded.end('keep'), 'exit code 7');
    assert.equal(readFileSync(logFile, 'utf8'), 'no\n');
    rmSync(folder, { recursive: true });
  });

  test('a command that does not exist is reported', async () => {
    const { folder, logFile } = makeFolder();

    assert.equal(await spawnGuarded({ folder, logFile, command: ['/no/such/server'] }).ended, 'exit code 127');

    assert.match(readFileSync(logFile, 'utf8'), /\/no\/such\/server: not found|No such file/);
    rmSync(folder, { recursive: true });
  });

  test('without a command the guardian only removes the folder', async () => {
    const { folder } = makeFolder();

    await spawnGuarded({ folder }).end('remove');

    assert.equal(existsSync(folder), false);
  });

  for (const { how, command, end } of [
    { how: 'is killed', command: OBEDIENT, end: (parent: ChildProcess) => parent.kill('SIGKILL') },
    { how: 'is killed and the process does not end when asked', command: STUBBORN, end: kill },
    { how: 'is interrupted', command: OBEDIENT, end: (parent: ChildProcess) => parent.kill('SIGINT') },
    { how: 'throws', command: OBEDIENT, end: (parent: ChildProcess) => parent.stdin?.end('throw new Error("x")\n') },
    { how: 'runs out of work', command: OBEDIENT, end: (parent: ChildProcess) => parent.stdin?.end() },
  ]) {
    test(`nothing is left behind when the parent ${how}`, async () => {
      const { folder, logFile } = makeFolder();
      const parent = spawnParent({ folder, logFile, cwd: folder, command: ['sh', '-c', command] });
      const pid = await readPid(folder);
      assert.equal(isRunning(pid), true);

      end(parent);

      await once(parent, 'exit');
      await until(() => !isRunning(pid) && !existsSync(folder));
    });
  }
});

function kill(parent: ChildProcess): void {
  parent.kill('SIGKILL');
}

/** A process that starts a guarded one and then does what it is told on its standard input. */
function spawnParent(options: Parameters<typeof spawnGuarded>[0]): ChildProcess {
  const guardian = JSON.stringify(new URL('guardian.ts', import.meta.url).href);
  const script = `
    const { spawnGuarded } = await import(${guardian});
    spawnGuarded(${JSON.stringify(options)});
    for await (const line of process.stdin) new Function(String(line))();
  `;
  const argv = ['--input-type=module', '--eval', script];
  return spawn(process.execPath, argv, { stdio: ['pipe', 'ignore', 'ignore'] });
}

function makeFolder(): { folder: string; logFile: string } {
  const folder = mkdtempSync(join(tmpdir(), 'cfssl-issuer-guardian-test-'));
  const logFile = join(folder, 'log');
  writeFileSync(logFile, '');
  return { folder, logFile };
}

async function readPid(folder: string): Promise<number> {
  const file = join(folder, 'pid');
  await until(() => existsSync(file) && readFileSync(file, 'utf8').endsWith('\n'));
  return Number(readFileSync(file, 'utf8'));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: the only error for a process of the same user
  }
}

/** Waits for what another process does; fails after 20 s. */
async function until(isTrue: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!isTrue()) {
    assert.ok(performance.now() < deadlineMs, 'not within 20 s');
    await sleep(10);
  }
}
