import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { loadDefaultTrust } from './trust.ts';

const pem = (body: string): string => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;

/** A directory with these files; gone when the test has ended. */
async function directoryOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'trust-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, name), content);
  return directory;
}

describe('loadDefaultTrust()', () => {
  test("is the system's roots, or Node's where there are none", async () => {
    const system = getCACertificates('system');
    const expected = (system.length > 0 ? system : getCACertificates('bundled')).join('\n');
    assert.match(expected, /-----BEGIN CERTIFICATE-----/);
    for (const env of [{}, { SSL_CERT_FILE: '', SSL_CERT_DIR: '' }, { SSL_CERT_DIR: ':' }]) {
      assert.ok((await loadDefaultTrust(env)) === expected, JSON.stringify(env));
    }
  });

  test('SSL_CERT_FILE', async (t) => {
    const directory = await directoryOf(t, { 'ca.pem': `A comment\n${pem('A')}${pem('B')}` });
    assert.equal(
      await loadDefaultTrust({ SSL_CERT_FILE: join(directory, 'ca.pem') }),
      `A comment\n${pem('A')}${pem('B')}`,
    );
  });

  test('SSL_CERT_DIR: every file with a certificate, in the order of their names', async (t) => {
    const first = await directoryOf(t, { 'b.pem': pem('B'), a: pem('A'), README: 'Nothing', 'key.pem': 'PRIVATE KEY' });
    await mkdir(join(first, 'subdirectory'));
    const second = await directoryOf(t, { 'c.crt': pem('C') });
    assert.equal(
      await loadDefaultTrust({ SSL_CERT_DIR: `${first}::${second}` }),
      [pem('A'), pem('B'), pem('C')].join('\n'),
    );
  });

  test('both together', async (t) => {
    const directory = await directoryOf(t, { 'a.pem': pem('A') });
    const file = join(await directoryOf(t, { 'b.pem': pem('B') }), 'b.pem');
    assert.equal(
      await loadDefaultTrust({ SSL_CERT_FILE: file, SSL_CERT_DIR: directory }),
      [pem('B'), pem('A')].join('\n'),
    );
  });

  test('a file that cannot be read is refused, with its name', async (t) => {
    const path = join(await directoryOf(t, {}), 'missing.pem');
    await assert.rejects(loadDefaultTrust({ SSL_CERT_FILE: path }), {
      name: 'ConfigError',
      message: `Cannot read SSL_CERT_FILE ${path}: ENOENT: no such file or directory, open '${path}'`,
    });
  });

  test('a file without a certificate is refused, with its name and not its content', async (t) => {
    const path = join(await directoryOf(t, { 'ca.pem': 'a secret' }), 'ca.pem');
    await assert.rejects(loadDefaultTrust({ SSL_CERT_FILE: path }), {
      name: 'ConfigError',
      message: `Cannot use SSL_CERT_FILE ${path}: it holds no certificate`,
    });
  });

  test('a directory that cannot be read is refused, with its name', async (t) => {
    const path = join(await directoryOf(t, {}), 'missing');
    await assert.rejects(loadDefaultTrust({ SSL_CERT_DIR: path }), {
      name: 'ConfigError',
      message: `Cannot read SSL_CERT_DIR ${path}: ENOENT: no such file or directory, scandir '${path}'`,
    });
  });
});
