import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { loadClusterConfig } from './cluster-config.ts';

/** A folder with these files; a value that is no text is written as YAML. */
async function folderWith(t: TestContext, files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'cluster-config-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), typeof content === 'string' ? content : stringify(content));
  }
  return folder;
}

function kubeconfig(cluster: object, user: object | undefined, context: object = {}): object {
  return {
    'current-context': 'here',
    clusters: [{ name: 'c', cluster: { server: 'https://api:6443', ...cluster } }],
    users: user === undefined ? [] : [{ name: 'u', user }],
    contexts: [{ name: 'here', context: { cluster: 'c', ...(user === undefined ? {} : { user: 'u' }), ...context } }],
  };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('loadClusterConfig', () => {
  test('in a pod: the mounted files', async (t) => {
    const folder = await folderWith(t, { token: 'x', 'ca.crt': 'x', namespace: 'ns\n' });
    const env = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443', HOME: folder };
    assert.deepEqual(await loadClusterConfig({ env, serviceAccountFolder: folder }), {
      source: 'in-cluster',
      server: 'https://[fd00::1]:443',
      ca: { file: join(folder, 'ca.crt') },
      authentication: { kind: 'token-file', file: join(folder, 'token') },
      namespace: 'ns',
    });
  });

  test('in a pod without a token: an error that names the file', async (t) => {
    const folder = await folderWith(t, { 'ca.crt': 'x' });
    const env = { KUBERNETES_SERVICE_HOST: 'h', KUBERNETES_SERVICE_PORT: '443' };
    await assert.rejects(loadClusterConfig({ env, serviceAccountFolder: folder }), {
      code: 'KUBERNETES_CONFIG',
      message: `Cannot read ${join(folder, 'token')}: the pod needs a mounted service account token`,
    });
  });

  test('the flag wins over KUBECONFIG, that over the pod’s files, those over the home directory', async (t) => {
    const named = (server: string): object => kubeconfig({ server }, undefined);
    const folder = await folderWith(t, {
      flag: named('https://flag'),
      env: named('https://env'),
      '.kube/config': named('https://home'),
      token: 'x',
      'ca.crt': 'x',
    });
    const env: Record<string, string> = { HOME: folder };
    const load = async (kubeconfigPath?: string): Promise<string> =>
      (await loadClusterConfig({ env, kubeconfigPath, serviceAccountFolder: folder })).server;
    assert.equal(await load(), 'https://home');
    Object.assign(env, { KUBERNETES_SERVICE_HOST: 'pod', KUBERNETES_SERVICE_PORT: '1' });
    assert.equal(await load(), 'https://pod:1');
    env['KUBECONFIG'] = join(folder, 'env');
    assert.equal(await load(), 'https://env');
    assert.equal(await load(join(folder, 'flag')), 'https://flag');
  });

  test('nothing at all: an error that says what to set', async () => {
    await assert.rejects(loadClusterConfig({ env: {} }), /neither --kubeconfig, KUBECONFIG nor HOME is set/);
  });

  test('a kubeconfig’s inline data, namespace and server name', async (t) => {
    const cluster = {
      server: 'https://api:6443/base/',
      'certificate-authority-data': base64('ca'),
      'tls-server-name': 'other',
      'insecure-skip-tls-verify': false,
    };
    const user = { 'client-certificate-data': base64('cert'), 'client-key-data': base64('key') };
    const folder = await folderWith(t, { config: kubeconfig(cluster, user, { namespace: 'ns' }) });
    const kubeconfigPath = join(folder, 'config');
    assert.deepEqual(await loadClusterConfig({ env: {}, kubeconfigPath }), {
      source: `${kubeconfigPath} (context here)`,
      server: 'https://api:6443/base',
      ca: { text: 'ca' },
      clientCertificate: { certificate: { text: 'cert' }, key: { text: 'key' } },
      serverName: 'other',
      authentication: { kind: 'none' },
      namespace: 'ns',
    });
  });

  test('paths in a kubeconfig start from its folder', async (t) => {
    const files = { 'client-certificate': 'cert.pem', 'client-key': '/abs/key.pem', tokenFile: 'token' };
    const folder = await folderWith(t, { config: kubeconfig({ 'certificate-authority': 'sub/ca.pem' }, files) });
    const config = await loadClusterConfig({ env: {}, kubeconfigPath: join(folder, 'config') });
    assert.deepEqual(config.ca, { file: join(folder, 'sub/ca.pem') });
    assert.deepEqual(config.clientCertificate, {
      certificate: { file: join(folder, 'cert.pem') },
      key: { file: '/abs/key.pem' },
    });
    assert.deepEqual(config.authentication, { kind: 'token-file', file: join(folder, 'token') });
  });

  test('several kubeconfigs are merged, the first to say something wins, missing ones are skipped', async (t) => {
    const folder = await folderWith(t, {
      one: { 'current-context': '', users: [{ name: 'u', user: { token: 'first' } }] },
      two: kubeconfig({}, { token: 'second' }),
    });
    const env = { KUBECONFIG: ['one', 'missing', 'two'].map((name) => join(folder, name)).join(':') };
    const config = await loadClusterConfig({ env });
    assert.deepEqual(config.authentication, { kind: 'token', token: 'first' });
    await assert.rejects(loadClusterConfig({ env: { KUBECONFIG: join(folder, 'missing') } }), /Cannot read kubeconfig/);
  });

  test('an exec plugin gets our environment and its own, and is found from the kubeconfig’s folder', async (t) => {
    const exec = {
      command: './plugin',
      args: ['get-token'],
      env: [{ name: 'B', value: '2' }],
      apiVersion: 'client.authentication.k8s.io/v1beta1',
      interactiveMode: 'IfAvailable',
      provideClusterInfo: true,
    };
    const folder = await folderWith(t, { config: kubeconfig({}, { exec }) });
    const { authentication } = await loadClusterConfig({
      env: { A: '1', B: '1' },
      kubeconfigPath: join(folder, 'config'),
    });
    assert.deepEqual(authentication, {
      kind: 'exec',
      plugin: {
        command: join(folder, 'plugin'),
        args: ['get-token'],
        env: { A: '1', B: '2' },
        apiVersion: 'client.authentication.k8s.io/v1beta1',
        installHint: undefined,
        cluster: { server: 'https://api:6443', ca: undefined },
      },
    });
  });

  const exec = { command: 'x', apiVersion: 'client.authentication.k8s.io/v1' };
  const refusals: [string, unknown, RegExp][] = [
    ['a proxy', kubeconfig({ 'proxy-url': 'http://proxy' }, {}), /cluster "c": proxy-url is not supported/],
    ['a password', kubeconfig({}, { username: 'a', password: 'b' }), /user "u": username, password is not supported/],
    ['impersonation', kubeconfig({}, { as: 'admin' }), /user "u": as is not supported/],
    ['an auth provider', kubeconfig({}, { 'auth-provider': { name: 'gcp' } }), /auth-provider is not supported/],
    ['a certificate without a key', kubeconfig({}, { 'client-certificate': 'a' }), /go together/],
    ['no server', kubeconfig({ server: '' }, {}), /it has no server/],
    ['a server that is no URL', kubeconfig({ server: 'unix:///run/x' }, {}), /not an http or https URL/],
    ['an old plugin', kubeconfig({}, { exec: { ...exec, apiVersion: 'v1alpha1' } }), /its apiVersion is none of/],
    ['a plugin with a terminal', kubeconfig({}, { exec: { ...exec, interactiveMode: 'Always' } }), /needs a terminal/],
    ['no current context', { clusters: [] }, /it has no current-context/],
    ['no such context', { 'current-context': 'gone' }, /it has no context "gone"/],
    ['what is not YAML', 'a: [', /it is not YAML/],
    ['what is no mapping', '- a', /it is not a mapping/],
  ];
  for (const [what, content, message] of refusals) {
    test(`a kubeconfig with ${what} is refused`, async (t) => {
      const folder = await folderWith(t, { config: content });
      const outcome = loadClusterConfig({ env: {}, kubeconfigPath: join(folder, 'config') });
      await assert.rejects(outcome, { code: 'KUBERNETES_CONFIG', message });
    });
  }
});
