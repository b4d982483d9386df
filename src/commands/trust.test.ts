import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { authority } from '../x509/testing/authority.ts';
import { loadDefaultTrust } from './trust.ts';

const pem = (body: string): string => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----`;

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
    const expected = new Set(system.length > 0 ? system : getCACertificates('bundled'));
    assert.ok(expected.size > 0);
    for (const env of [{}, { SSL_CERT_FILE: '', SSL_CERT_DIR: '' }, { SSL_CERT_DIR: ':' }]) {
      assert.ok(isDeepStrictEqual(new Set(await loadDefaultTrust(env)), expected), JSON.stringify(env));
    }
  });

  test('SSL_CERT_FILE: every certificate in it', async (t) => {
    const directory = await directoryOf(t, { 'ca.pem': `A comment\n${pem('A')}\n${pem('B')}\n` });
    assert.deepEqual(await loadDefaultTrust({ SSL_CERT_FILE: join(directory, 'ca.pem') }), [pem('A'), pem('B')]);
  });

  test('SSL_CERT_DIR: every file with a certificate, in the order of their names', async (t) => {
    const first = await directoryOf(t, { 'b.pem': pem('B'), a: pem('A'), README: 'Nothing', 'key.pem': 'PRIVATE KEY' });
    await mkdir(join(first, 'subdirectory'));
    const second = await directoryOf(t, { 'c.crt': pem('C') });
    assert.deepEqual(await loadDefaultTrust({ SSL_CERT_DIR: `${first}::${second}` }), [pem('A'), pem('B'), pem('C')]);
  });

  test('both together', async (t) => {
    const directory = await directoryOf(t, { 'a.pem': pem('A') });
    const file = join(await directoryOf(t, { 'b.pem': pem('B') }), 'b.pem');
    assert.deepEqual(await loadDefaultTrust({ SSL_CERT_FILE: file, SSL_CERT_DIR: directory }), [pem('B'), pem('A')]);
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

describe('installDefaultTrust()', () => {
  /** In a process of its own, since it changes what all of a process trusts; tells that, or the error. */
  const install = (file: string): unknown => {
    const script = `
      import { getCACertificates } from 'node:tls';
      import { installDefaultTrust } from '${import.meta.resolve('./trust.ts')}';
      const outcome = await installDefaultTrust({ SSL_CERT_FILE: process.argv[1] }).then(
        () => getCACertificates('default').map((pem) => pem.trim()),
        ({ name, message }) => ({ name, message }),
      );
      console.log(JSON.stringify(outcome));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script, file], { env: {} });
    return JSON.parse(stdout.toString('utf8'));
  };

  test('is what the process trusts, and nothing else', async (t) => {
    const certificates = [authority('A'), authority('B')].map(({ certificate }) => certificate.pem.trim());
    const directory = await directoryOf(t, { 'ca.pem': certificates.join('\n') });
    const trusted = install(join(directory, 'ca.pem')) as string[];
    assert.deepEqual(trusted.toSorted(), certificates.toSorted());
  });

  test('a certificate that is none is refused', async (t) => {
    const directory = await directoryOf(t, { 'ca.pem': pem('AAAA') });
    const { name, message } = install(join(directory, 'ca.pem')) as Error;
    assert.equal(name, 'ConfigError');
    assert.match(message, /^Cannot use the trusted certificates: ./);
  });
});
