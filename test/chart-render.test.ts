/**
 * What the charts render, by the real helm: golden files for whole values files, and what single values do.
 * After a change that is meant: `UPDATE_GOLDEN=1 node --test --test-isolation=none test/chart-render.test.ts`, and read the
 * difference.
 */
import assert from 'node:assert/strict';
import { globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import type { Manifest } from '../tools/cluster.ts';
import { CHART, CRDS_CHART, findManifest, helm, parseManifests, render, renderText } from './support/helm.ts';
import { formatRight, type Rule, rightsOf } from './support/rbac.ts';

const FOLDER = join(import.meta.dirname, 'charts');
const CASES = globSync('*.yaml', { cwd: join(FOLDER, 'cases') });
const CRDS = join(import.meta.dirname, '../config/crd/bases');

const caseFile = (name: string): string => join(FOLDER, 'cases', name);

/** Keys and certificates that helm makes up are another ones each time. */
function maskGenerated(text: string): string {
  return text.replaceAll(/^( +ca(?:-key)?\.pem: ).+$/gm, '$1MADE-BY-HELM');
}

/** What a path of keys and indexes leads to. */
function at(value: unknown, path: string): unknown {
  return path.split('.').reduce((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}

describe('The chart cfssl-issuer', () => {
  for (const name of CASES) {
    test(`renders ${name} as its golden file has it, and passes helm lint`, async () => {
      await helm(['lint', CHART, '--strict', `--values=${caseFile(name)}`]);
      const rendered = maskGenerated(await renderText({}, `--values=${caseFile(name)}`));
      const golden = join(FOLDER, 'golden', name);
      if (process.env['UPDATE_GOLDEN'] !== undefined) writeFileSync(golden, rendered);
      assert.equal(rendered, readFileSync(golden, 'utf8'));
    });
  }

  test('every value changes something in one of the golden files', () => {
    const used = CASES.flatMap((name) => pathsOf(readFileSync(caseFile(name), 'utf8')));
    const known = pathsOf(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
    const isCovered = (path: string): boolean => used.some((one) => one === path || one.startsWith(`${path}.`));
    // Each has a test of its own below: CRDs come from another file, an issuer of simple-cfssl is there by default.
    const elsewhere = /^(crds|simpleCfssl\.(issuer|image\.repository))\b|^metrics\.dashboard\.labels\b/;
    assert.deepEqual(
      known.filter((path) => !isCovered(path) && !elsewhere.test(path)),
      [],
    );
  });

  const deployment = 'Deployment cfssl-issuer';
  const container = 'spec.template.spec.containers.0';
  for (const [what, values, where, path, expected] of [
    ['two replicas by default', {}, deployment, 'spec.replicas', 2],
    ['that elect a leader', {}, deployment, `${container}.args.0`, '--enable-leader-election'],
    ['appVersion as tag', {}, deployment, `${container}.image`, `registry.example.com/cfssl-issuer:${appVersion()}`],
    [
      'a digest instead of the tag',
      { image: { digest: `sha256:${'0'.repeat(64)}`, tag: 'v1' } },
      deployment,
      `${container}.image`,
      `registry.example.com/cfssl-issuer@sha256:${'0'.repeat(64)}`,
    ],
    [
      'podSecurityContext over the chart’s own',
      { podSecurityContext: { runAsUser: 1000 } },
      deployment,
      'spec.template.spec.securityContext',
      { runAsNonRoot: true, runAsUser: 1000, runAsGroup: 65532, seccompProfile: { type: 'RuntimeDefault' } },
    ],
    [
      'affinity beside the pod anti-affinity',
      { affinity: { nodeAffinity: { x: 1 } }, podAntiAffinity: 'required' },
      deployment,
      'spec.template.spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution.0.topologyKey',
      'kubernetes.io/hostname',
    ],
    [
      'an own pod anti-affinity instead of the chart’s',
      { affinity: { podAntiAffinity: { x: 1 } } },
      deployment,
      'spec.template.spec.affinity',
      { podAntiAffinity: { x: 1 } },
    ],
    ['PDB: a number', { podDisruptionBudget: { minAvailable: 2 } }, 'PodDisruptionBudget', 'spec.minAvailable', 2],
    [
      'PDB: a share',
      { podDisruptionBudget: { maxUnavailable: '50%' } },
      'PodDisruptionBudget',
      'spec.maxUnavailable',
      '50%',
    ],
    [
      'the Secret of a ClusterIssuer in the cluster resource namespace',
      { clusterResourceNamespace: 'other', issuers: { one: { ...clusterIssuer(), authSecret: { key: '00' } } } },
      'Secret one-key',
      'metadata.namespace',
      'other',
    ],
    [
      'unknown keys of an issuer in its spec, for what the CRD will know',
      { issuers: { one: { ...clusterIssuer(), later: { deep: [1] } } } },
      'ClusterIssuer one',
      'spec.later',
      { deep: [1] },
    ],
    [
      'an Issuer for simple-cfssl',
      { simpleCfssl: { enabled: true, image: { repository: 'a/b' }, issuer: { kind: 'Issuer', name: 'try' } } },
      'Issuer try',
      'spec',
      {
        url: 'http://cfssl-issuer-simple-cfssl.pki.svc:8888',
        authSecretName: 'try-key',
        label: 'intermediate1',
        profile: 'server',
      },
    ],
    [
      'simple-cfssl from another registry',
      { simpleCfssl: { enabled: true, image: { repository: 'a/b' } } },
      'Deployment cfssl-issuer-simple-cfssl',
      `${container}.image`,
      `a/b/simple-cfssl:${appVersion()}`,
    ],
    [
      'labels for the sidecar of Grafana',
      { metrics: { dashboard: { enabled: true, labels: { find: 'me' } } } },
      'ConfigMap cfssl-issuer-dashboard',
      'metadata.labels.find',
      'me',
    ],
  ] as const satisfies readonly [string, object, string, string, unknown][]) {
    test(`renders ${what}`, async () => {
      const [kind = '', name] = where.split(' ');
      assert.deepEqual(at(findManifest(await render(values), kind, name), path), expected);
    });
  }

  for (const [what, values, message] of [
    [
      'a misspelt key below the top level',
      { image: { tagg: 'v1' } },
      /image.*additional properties 'tagg' not allowed/s,
    ],
    ['a string for a number', { replicaCount: 'two' }, /replicaCount.*got string, want integer/s],
    ['a pull policy that there is none of', { image: { pullPolicy: 'Sometimes' } }, /pullPolicy.*must be one of/s],
    ['a digest that is none', { image: { digest: 'sha256:0' } }, /digest.*does not match pattern/s],
    [
      'an issuer without a kind',
      { issuers: { one: { authSecretName: 'k' } } },
      /issuers.one.*missing property 'kind'/s,
    ],
    ['another kind', { issuers: { one: { ...clusterIssuer(), kind: 'Vault' } } }, /kind.*must be one of/s],
    ['an Issuer without a namespace', { issuers: { one: { ...clusterIssuer(), kind: 'Issuer' } } }, /'namespace'/],
    [
      'a Secret without its key',
      { issuers: { one: { ...clusterIssuer(), authSecret: {} } } },
      /missing property 'key'/,
    ],
    ['several replicas without an election', { leaderElection: false }, /replicaCount above 1 needs leaderElection/],
    [
      'a ClusterIssuer where it is not served',
      { rbac: { namespaced: true }, issuers: { one: clusterIssuer() } },
      /issuers.one is a ClusterIssuer, which is not served/,
    ],
    [
      'an Issuer where it is not served',
      {
        rbac: { namespaced: true, namespaces: ['a'] },
        issuers: { one: { ...clusterIssuer(), kind: 'Issuer', namespace: 'b' } },
      },
      /issuers.one lies in the namespace b, which rbac.namespaces does not have/,
    ],
    [
      'a ClusterIssuer for simple-cfssl where it is not served',
      { rbac: { namespaced: true }, simpleCfssl: { enabled: true } },
      /simpleCfssl.issuer.kind is ClusterIssuer/,
    ],
    [
      'an Issuer for simple-cfssl where it is not served',
      { rbac: { namespaced: true, namespaces: ['a'] }, simpleCfssl: { enabled: true, issuer: { kind: 'Issuer' } } },
      /rbac.namespaces does not have/,
    ],
  ] as const) {
    test(`refuses ${what}`, async () => {
      await assert.rejects(renderText(values), message);
    });
  }

  test('with rbac.namespaced, nothing of it is outside of namespaces', async () => {
    const manifests = await render({}, `--values=${caseFile('namespaced.yaml')}`);
    const kinds = manifests.map(({ kind }) => kind);
    assert.deepEqual(
      kinds.filter((kind) => kind.startsWith('Cluster')),
      [],
    );
    const roles = manifests.filter(({ kind }) => kind === 'Role').map(({ metadata }) => metadata.namespace);
    assert.deepEqual(roles.map(String).toSorted(), ['pki', 'team-a', 'team-b']);
    const { args } = at(findManifest(manifests, 'Deployment'), container) as { args: string[] };
    assert.ok(args.includes('--namespaces=team-a,team-b'));
  });

  test('the rights are those of config/rbac', async () => {
    const folder = join(import.meta.dirname, '../config/rbac');
    const files = globSync('*.yaml', { cwd: folder }).map((name) => readFileSync(join(folder, name), 'utf8'));
    const rightsIn = (manifests: readonly Manifest[]): string[] =>
      manifests
        .filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole')
        .flatMap(({ kind, rules }) =>
          rightsOf(rules as readonly Rule[]).map((right) => `${kind}: ${formatRight(right)}`),
        )
        .toSorted();
    assert.deepEqual(rightsIn(await render()), rightsIn(files.flatMap(parseManifests)));
  });

  test('values that documents tell of are there', () => {
    const known = [CHART, CRDS_CHART].flatMap((chart) => pathsOf(readFileSync(join(chart, 'values.yaml'), 'utf8')));
    for (const name of ['docs/install.md', 'charts/cfssl-issuer/README.md', 'charts/cfssl-issuer-crds/README.md']) {
      const text = readFileSync(join(CHART, '../..', name), 'utf8');
      const told = [...text.matchAll(/--set ([\w.]+)=|`([a-z]\w*(?:\.\w+)+)(?:=\w+)?`/g)].map(
        ([, set, code]) => set ?? code ?? '',
      );
      const values = told.filter((path) => !/\.(md|yaml|json|pem|com)$|^spec\./.test(path));
      assert.ok(values.length > 0 || name.includes('crds'));
      assert.deepEqual(
        values.filter(
          (path) => !known.some((one) => one === path || one.startsWith(`${path}.`) || path.startsWith('authSecret.')),
        ),
        [],
        name,
      );
    }
  });

  test('appVersion is the version of the program', () => {
    const { version } = JSON.parse(readFileSync(join(CHART, '../../package.json'), 'utf8')) as { version: string };
    assert.equal(appVersion(), version);
    assert.equal(chartOf(CRDS_CHART).appVersion, version);
  });
});

describe('The CRDs of both charts', () => {
  const files = readdirSync(CRDS);

  for (const [chart, values, expected] of [
    ['cfssl-issuer', {}, undefined],
    ['cfssl-issuer', { crds: { enabled: true } }, 'keep'],
    ['cfssl-issuer', { crds: { enabled: true, keep: false } }, 'none'],
    ['cfssl-issuer-crds', {}, 'keep'],
    ['cfssl-issuer-crds', { keep: false }, 'none'],
  ] as const) {
    test(`${chart} with ${JSON.stringify(values)}: ${expected ?? 'no CRDs'}`, async () => {
      const sets = Object.entries(values).map(([key, value]) => `--set-json=${key}=${JSON.stringify(value)}`);
      const text = await helm(['template', 'some', join(CHART, '..', chart), ...sets]);
      const crds = parseManifests(text).filter(({ kind }) => kind === 'CustomResourceDefinition');
      const wanted =
        expected === undefined ? [] : files.map((file) => parse(readFileSync(join(CRDS, file), 'utf8')) as Manifest);
      assert.deepEqual(
        crds.map(({ spec }) => spec),
        wanted.map(({ spec }) => spec),
      );
      for (const { metadata } of crds) {
        const { annotations } = metadata as { annotations?: Record<string, string> };
        assert.equal(annotations?.['helm.sh/resource-policy'] ?? 'none', expected);
      }
    });
  }
});

function clusterIssuer() {
  return { kind: 'ClusterIssuer', url: 'https://ca:1', authSecretName: 'one-key', label: 'l' };
}

function chartOf(folder: string): { readonly appVersion: string } {
  return parse(readFileSync(join(folder, 'Chart.yaml'), 'utf8')) as { appVersion: string };
}

function appVersion(): string {
  return chartOf(CHART).appVersion;
}

/** Dotted paths of all values that are no maps, or empty ones. */
function pathsOf(yaml: string): string[] {
  const walk = (value: unknown, path: string): string[] => {
    const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
    const entries = isMap ? Object.entries(value) : [];
    return entries.length === 0
      ? [path]
      : entries.flatMap(([key, inner]) => walk(inner, path === '' ? key : `${path}.${key}`));
  };
  return walk(parse(yaml), '');
}
