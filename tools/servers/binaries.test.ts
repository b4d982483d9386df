import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { BINARY_NAMES, cacheFolder, entryName } from './binaries.ts';

describe('entryName()', () => {
  test('is the binary, the version that go.mod pins, and a key of its own', () => {
    const names = BINARY_NAMES.map(entryName);

    const withoutKeys = names.map((name) => name.replace(/-[0-9a-f]{12}$/, ''));
    assert.deepEqual(withoutKeys, [
      'etcd-3.6.16',
      'kube-apiserver-1.36.3',
      'kube-controller-manager-1.36.3',
      'kubectl-1.36.3',
      'multirootca-1.7.1',
      'cfssl-1.7.1',
      'cert-manager-controllers-1.21.2',
      'helm-4.3.1',
    ]);
    assert.equal(new Set(names.map((name) => name.slice(-12))).size, names.length);
    assert.deepEqual(BINARY_NAMES.map(entryName), names);
  });
});

describe('cacheFolder()', () => {
  const inHome = join(homedir(), '.cache', 'cfssl-issuer', 'servers');
  for (const [xdgCacheHome, folder] of [
    ['/var/cache/me', '/var/cache/me/cfssl-issuer/servers'],
    ['', inHome],
    ['relative', inHome],
    [undefined, inHome],
  ] as const) {
    test(`XDG_CACHE_HOME ${xdgCacheHome === undefined ? 'unset' : JSON.stringify(xdgCacheHome)}`, () => {
      assert.equal(cacheFolder(xdgCacheHome === undefined ? {} : { XDG_CACHE_HOME: xdgCacheHome }), folder);
    });
  }
});
