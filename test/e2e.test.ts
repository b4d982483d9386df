/**
 * `make e2e` on kind, as far as it goes without nodes: kind and docker are played by scripts, the cluster is
 * the control plane of the tests, and what the pods would run runs as processes, with their words, mounts, rights and the
 * name of CFSSL's Service. The samples are applied as they are.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { openCluster } from '../tools/cluster.ts';
import { findKindTools } from '../tools/e2e.ts';
import { startIssuer } from '../tools/issuer-process.ts';
import { SAMPLE_URL } from '../tools/samples.ts';
import { ensureBinary, startCertManager, startControlPlane } from '../tools/servers/index.ts';
import {
  DEPLOYMENTS,
  type Deployment,
  playRollouts,
  serviceAccountKubeconfig,
  startSimpleCfsslPod,
} from './support/pods.ts';

const ROOT = join(import.meta.dirname, '..');
const MANAGER = { namespace: 'cfssl-issuer-system', name: 'cfssl-issuer-controller-manager' };
const SIMPLE_CFSSL = { namespace: 'simple-cfssl', name: 'simple-cfssl' };

/** Puts a script that is called `name` into the folder; `log` gets its words, a line each call. */
function writeProgram(folder: string, name: string, body: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\necho "${name} $*" >> "${folder}/log"\n${body}\n`, { mode: 0o755 });
}

describe('make e2e', () => {
  test('on kind deploys everything and judges the samples as they are', async () => {
    await using cleanup = new AsyncDisposableStack();
    const { path: folder } = cleanup.use(await mkdtempDisposable(join(tmpdir(), 'e2e-test-')));
    const controlPlane = cleanup.use(await startControlPlane());
    cleanup.use(await startCertManager({ access: controlPlane }));
    const cluster = cleanup.adopt(openCluster(controlPlane), (opened) => opened.close());
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    writeProgram(bin, 'docker', '');
    writeProgram(
      bin,
      'kind',
      `for word; do case "$word" in --kubeconfig=*) cp "${controlPlane.kubeconfig}" "\${word#--kubeconfig=}";; esac; done`,
    );
    // What there is to wait for of cert-manager's release is pods.
    writeProgram(
      bin,
      'kubectl',
      `case "$*" in *github.com*|*"-n cert-manager"*) exit 0;; esac\nexec "${await ensureBinary('kubectl')}" "$@"`,
    );

    const done = new AbortController();
    const playing = [MANAGER, SIMPLE_CFSSL].map((at) => playRollouts(cluster, at, done.signal));
    const running = promisify(execFile)(process.execPath, [join(ROOT, 'tools/e2e.ts')], {
      env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
      signal: done.signal,
    });
    const pods = (async () => {
      const at = { resource: DEPLOYMENTS, ...SIMPLE_CFSSL };
      const address = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
      const listen = `${address}:${new URL(SAMPLE_URL).port}`;
      const deployment = await cluster.waitFor<Deployment>(at, () => true, { withinMs: 60_000 });
      cleanup.use(await startSimpleCfsslPod(cluster, deployment, { root: folder, listen }));
      const manager = await cluster.waitFor<Deployment>({ resource: DEPLOYMENTS, ...MANAGER }, () => true);
      cleanup.use(
        await startIssuer({
          access: { kubeconfig: await serviceAccountKubeconfig(controlPlane, MANAGER, folder) },
          command: [process.execPath, writeResolvingProgram(folder, address)],
          flags: manager.spec.template.spec.containers[0]?.args ?? [],
        }),
      );
    })();
    try {
      const [{ stdout }] = await Promise.all([running, pods]);
      for (const text of [
        'ClusterIssuer bundleissuer-sample  Ready',
        'made for Ingress ingress-sample',
        'The end-to-end suite passed',
      ]) {
        assert.ok(stdout.includes(text), `"${text}" in ${stdout}`);
      }
    } finally {
      done.abort(new Error('Done'));
      await Promise.all(playing);
    }
    const log = readFileSync(join(bin, 'log'), 'utf8');
    for (const line of [
      /^kind create cluster --name=cfssl-issuer-e2e /m,
      /^kind load docker-image --name=cfssl-issuer-e2e cfssl-issuer:/m,
      /^kind load docker-image --name=cfssl-issuer-e2e simple-cfssl:/m,
      /^kubectl apply -f https:\/\/github.com\/cert-manager\/cert-manager\/releases\/download\/v[\d.]+\/cert-manager.yaml$/m,
      /^kubectl delete -f \S+config\/samples$/m,
    ]) {
      assert.match(log, line);
    }
  });

  test('says why it does not use kind', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'e2e-tools-'));
    const { path } = folder;
    const find = () => findKindTools({ PATH: path });
    assert.equal(find(), 'kind is not in PATH');
    writeProgram(path, 'kind', '');
    assert.equal(find(), 'docker is not in PATH');
    writeProgram(path, 'docker', 'exit 1');
    assert.equal(find(), 'no daemon answers docker');
    writeProgram(path, 'docker', '');
    assert.deepEqual(find(), { kind: join(path, 'kind'), docker: join(path, 'docker') });
  });
});

/** The issuer's program in a process where the name of CFSSL's Service resolves, as it does in a cluster. */
function writeResolvingProgram(folder: string, address: string): string {
  const path = join(folder, 'issuer.mjs');
  writeFileSync(
    path,
    `import dns from 'node:dns';
const { lookup } = dns;
const name = ${JSON.stringify(new URL(SAMPLE_URL).hostname)};
dns.lookup = (host, ...rest) => lookup(host === name ? ${JSON.stringify(address)} : host, ...rest);
await import(${JSON.stringify(join(ROOT, 'dist/main.mjs'))});
`,
  );
  return path;
}
