import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { getCACertificates } from 'node:tls';
import { LogRecorder } from '../../test/support/recorders.ts';
import { authority } from '../x509/testing/authority.ts';
import { loadDefaultTrust } from './trust.ts';

const [a, b, c] = ['A', 'B', 'C'].map((name) => authority(name).certificate.pem.trim()) as [string, string, string];
const nowhere = { files: [], directories: [] };

/** A directory with these files; gone when the test has ended. */
async function directoryOf(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'trust-'));
  t.after(() => rm(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  return directory;
}

describe('loadDefaultTrust()', () => {
  test('is the first file of the system that can be read, and all of its directories', async (t) => {
    const directory = await directoryOf(t, { 'second.pem': `A comment\n${a}\n${b}\n`, 'third.pem': c });
    const certs = await directoryOf(t, { 'b.pem': b, 'key.pem': 'PRIVATE KEY', 'z.pem': c });
    const files = ['missing.pem', 'second.pem', 'third.pem'].map((name) => join(directory, name));
    const log = new LogRecorder();
    const locations = { files, directories: [join(certs, 'missing'), certs] };
    assert.deepEqual(await loadDefaultTrust({}, log, locations), [a, b, c]);
    assert.deepEqual(log.lines, []);
  });

  test('SSL_CERT_FILE takes the place of the files, and not of the directories', async (t) => {
    const directory = await directoryOf(t, { 'chosen.pem': a, 'system.pem': b });
    const certs = await directoryOf(t, { 'c.pem': c });
    const locations = { files: [join(directory, 'system.pem')], directories: [certs] };
    const env = { SSL_CERT_FILE: join(directory, 'chosen.pem') };
    assert.deepEqual(await loadDefaultTrust(env, new LogRecorder(), locations), [a, c]);
  });

  test('SSL_CERT_DIR takes the place of the directories, and not of the files', async (t) => {
    const first = await directoryOf(t, { 'b.pem': b, a, README: 'Nothing' });
    await mkdir(join(first, 'subdirectory'));
    await symlink('b.pem', join(first, '0123.0'));
    const second = await directoryOf(t, { 'c.crt': c });
    const locations = { files: [join(second, 'c.crt')], directories: ['/nonexistent'] };
    const env = { SSL_CERT_DIR: `${first}::${second}` };
    assert.deepEqual(await loadDefaultTrust(env, new LogRecorder(), locations), [c, a, b]);
  });

  test('what cannot be read or is no certificate is left out, with a warning where it was asked for', async (t) => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    const directory = await directoryOf(t, { 'ca.pem': `${broken}\n${a}`, 'empty.pem': '' });
    const log = new LogRecorder();
    assert.deepEqual(await loadDefaultTrust({ SSL_CERT_FILE: join(directory, 'ca.pem') }, log, nowhere), [a]);
    assert.deepEqual(log.lines, []);
    await loadDefaultTrust({ SSL_CERT_FILE: join(directory, 'missing.pem') }, log, nowhere);
    await loadDefaultTrust({ SSL_CERT_FILE: join(directory, 'empty.pem') }, log, nowhere);
    await loadDefaultTrust({ SSL_CERT_DIR: join(directory, 'missing') }, log, nowhere);
    assert.deepEqual(
      log.lines.map(({ level, message }) => [level, message]),
      [
        ['warn', 'Cannot read SSL_CERT_FILE'],
        ['warn', 'SSL_CERT_FILE holds no certificate'],
        ['warn', 'Cannot read a directory of SSL_CERT_DIR'],
      ],
    );
  });

  test("is Node's own where there is none at all", async () => {
    const system = getCACertificates('system');
    const expected = new Set(system.length > 0 ? system : getCACertificates('bundled'));
    const env = { SSL_CERT_FILE: '', SSL_CERT_DIR: '' };
    assert.deepEqual(new Set(await loadDefaultTrust(env, new LogRecorder(), nowhere)), expected);
  });
});

describe('installDefaultTrust()', () => {
  test('is what the process trusts', async (t) => {
    const directory = await directoryOf(t, { 'ca.pem': `${a}\n${b}` });
    // In a process of its own, since it changes what all of a process trusts.
    const script = `
      import { getCACertificates } from 'node:tls';
      import { installDefaultTrust } from '${import.meta.resolve('./trust.ts')}';
      const [file, directory] = process.argv.slice(1);
      await installDefaultTrust({ SSL_CERT_FILE: file, SSL_CERT_DIR: directory }, { warn() {} });
      console.log(JSON.stringify(getCACertificates('default').map((pem) => pem.trim())));`;
    const words = ['--input-type=module', '--eval', script, join(directory, 'ca.pem'), directory];
    const { stdout } = spawnSync(process.execPath, words, { env: {} });
    const trusted = JSON.parse(stdout.toString('utf8')) as string[];
    assert.deepEqual(trusted.toSorted(), [a, b].toSorted());
  });
});
