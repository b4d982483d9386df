import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';

/** Runs the check over a tree of these files; the check takes the folder beside its own for the repository. */
async function check(t: TestContext, files: Readonly<Record<string, string>>) {
  const root = await mkdtemp(join(tmpdir(), 'check-imports-'));
  t.after(() => rm(root, { recursive: true }));
  await mkdir(join(root, 'tools'));
  await cp(join(import.meta.dirname, 'check-imports.ts'), join(root, 'tools/check-imports.ts'));
  for (const [path, source] of Object.entries({ 'package.json': '{"type":"module"}', ...files })) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), source);
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'tools/check-imports.ts')], {
    encoding: 'utf8',
    env: {},
  });
  return { status, stdout, problems: stderr.split('\n').filter((line) => line !== '') };
}

describe('check-imports', () => {
  test('a house in order is let through without a word', async (t) => {
    const result = await check(t, {
      'src/main.ts': "import { run } from './commands/controller.ts';\n",
      'src/platform/clock.ts': "import { setTimeout } from 'node:timers';\nexport const clock = setTimeout;\n",
      'src/platform/index.ts': "export { clock } from './clock.ts';\n",
      'src/x509/index.ts': '',
      'src/cfssl/client.ts':
        "import { request } from 'undici';\nimport {\n  clock,\n  type Clock,\n} from '../platform/index.ts';\nimport type { A } from '../x509/index.ts';\n",
      'src/cfssl/client.test.ts': "import { issuer } from '../issuer/issuer.ts';\nimport fc from 'fast-check';\n",
      'simple-cfssl/server.ts': "import { API_PREFIX } from '../src/cfssl/index.ts';\n",
    });
    assert.deepEqual(result, { status: 0, stdout: '', problems: [] });
  });

  test('each way through a wall is told', async (t) => {
    const { status, problems } = await check(t, {
      'src/cfssl/a.ts': "import { get } from '../kubernetes/index.ts';\n",
      'src/cfssl/b.ts': "import { clock } from '../platform/clock.ts';\n",
      'src/cfssl/c.ts': "import type { Clock } from '../platform/clock.ts';\n",
      'src/cfssl/d.ts': "export { clock } from '../platform/clock.ts';\n",
      'src/cfssl/e.ts': "export * from '../issuer/index.ts';\n",
      'src/cfssl/f.ts': "import '../issuer/index.ts';\n",
      'src/cfssl/g.ts': "import {\n  clock,\n} from '../../test/support/manual-clock.ts';\n",
      'src/cfssl/h.ts': "import { z } from 'zod';\n",
      'src/api/a.ts': "import { clock } from '../platform/index.ts';\n",
      'src/platform/a.ts': "import { Agent } from 'undici/agent';\n",
      'src/stray.ts': '',
      'simple-cfssl/a.ts': "import { clock } from '../src/platform/index.ts';\n",
    });
    assert.equal(status, 1);
    assert.deepEqual(problems.toSorted(), [
      'simple-cfssl/a.ts: may not import src/platform',
      'src/api/a.ts: may not import src/platform',
      'src/cfssl/a.ts: may not import src/kubernetes',
      'src/cfssl/b.ts: must use the door src/platform/index.ts, not src/platform/clock.ts',
      'src/cfssl/c.ts: must use the door src/platform/index.ts, not src/platform/clock.ts',
      'src/cfssl/d.ts: must use the door src/platform/index.ts, not src/platform/clock.ts',
      'src/cfssl/e.ts: may not import src/issuer',
      'src/cfssl/f.ts: may not import src/issuer',
      'src/cfssl/g.ts: may not import test/support/manual-clock.ts, which is in no room',
      'src/cfssl/h.ts: may not import the package zod',
      'src/platform/a.ts: may not import the package undici/agent',
      'src/stray.ts: is in no room',
    ]);
  });

  test('so is one by import()', async (t) => {
    const { problems } = await check(t, {
      'src/cfssl/a.ts': "const { get } = await import('../kubernetes/index.ts');\n",
    });
    assert.deepEqual(problems, ['src/cfssl/a.ts: may not import src/kubernetes']);
  });

  test('words in a comment are no import', async (t) => {
    const source = "export interface Origin {\n  /** Where it is from 'the start' */\n  readonly name: string;\n}\n";
    const { problems } = await check(t, { 'src/cfssl/a.ts': source.replace('the start', '../issuer/x.ts') });
    assert.deepEqual(problems, []);
  });
});
