/** The chart's alerts and dashboard ask for metrics, labels and values that the issuer really has. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Manifest } from '../tools/cluster.ts';
import { ensureIssuer, getStage } from './support/chart-stage.ts';
import { findManifest, render } from './support/helm.ts';
import { sign } from './support/issuer-effects.ts';

/** Labels by metric, and their values by `metric label`. */
interface Exposed {
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>;
  readonly values: ReadonlyMap<string, ReadonlySet<string>>;
}

/** What Prometheus adds: where it scraped, and under another name a label of ours that is in the way of one of these. */
const SCRAPED = ['namespace', 'pod'];
const RENAMED: Readonly<Record<string, string>> = { exported_namespace: 'namespace' };

function readExposition(text: string): Exposed {
  const labels = new Map<string, Set<string>>();
  const values = new Map<string, Set<string>>();
  for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const series = type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name];
    for (const one of series) labels.set(one, new Set());
  }
  for (const [, name = '', inner = ''] of text.matchAll(/^([a-z_]+)\{(.*)\} \S+$/gm)) {
    for (const [, label = '', value = ''] of inner.matchAll(/(\w+)="([^"]*)"/g)) {
      labels.get(name)?.add(label);
      const known = values.get(`${name} ${label}`) ?? new Set();
      values.set(`${name} ${label}`, known.add(value));
    }
  }
  return { labels, values };
}

/** What is wrong with a query, as far as names go. */
function findFaults(expression: string, { labels, values }: Exposed): string[] {
  const selectors = [...expression.matchAll(/([a-zA-Z_:][\w:]*)\{([^}]*)\}/g)];
  if (selectors.length === 0) return ['asks for nothing'];
  const faults: string[] = [];
  const known = new Set(SCRAPED);
  for (const [, metric = '', matchers = ''] of selectors) {
    const own = labels.get(metric);
    if (own === undefined) {
      faults.push(`no metric ${metric}`);
      continue;
    }
    for (const label of own) known.add(label);
    for (const [, label = '', operator, wanted = ''] of matchers.matchAll(/(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"/g)) {
      if (SCRAPED.includes(label)) continue;
      if (!own.has(label)) faults.push(`${metric} has no label ${label}`);
      else if (operator === '=' && values.get(`${metric} ${label}`)?.has(wanted) !== true)
        faults.push(`${metric} has no ${label} ${wanted}`);
    }
  }
  for (const [, list = ''] of expression.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const label of list.split(',').map((one) => one.trim())) {
      if (!known.has(RENAMED[label] ?? label)) faults.push(`no label ${label} to group by`);
    }
  }
  return faults;
}

interface PrometheusRule extends Manifest {
  readonly spec: {
    readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[];
  };
}

async function readAlerts(): Promise<readonly (readonly [string, string])[]> {
  const manifests = await render({ metrics: { prometheusRule: { enabled: true } } });
  const { spec } = findManifest(manifests, 'PrometheusRule') as PrometheusRule;
  return spec.groups.flatMap(({ rules }) => rules).map(({ alert, expr }) => [alert, expr] as const);
}

async function readPanels(): Promise<readonly (readonly [string, string])[]> {
  const manifests = await render({ metrics: { dashboard: { enabled: true } } });
  const { data } = findManifest(manifests, 'ConfigMap') as Manifest & { readonly data: Record<string, string> };
  const { panels, templating } = JSON.parse(data['cfssl-issuer.json'] ?? '') as {
    readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
    readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
  };
  return [
    ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr] as const)),
    ...templating.list
      .filter(({ query }) => query.includes('{'))
      .map(({ name, query }) => [`$${name}`, query] as const),
  ];
}

describe('Queries of the chart', () => {
  let exposed: Exposed;

  before(async () => {
    const { scene, configure } = await getStage();
    await configure({});
    const { metricsUrl } = await ensureIssuer();
    await (await sign('ClusterIssuer')(scene)).waitFor();
    exposed = readExposition(await (await fetch(`${metricsUrl}/metrics`)).text());
  });

  for (const [what, read, count] of [
    ['alerts', readAlerts, 8],
    ['panels', readPanels, 15],
  ] as const) {
    test(`${what} ask for what there is`, async () => {
      const queries = await read();
      assert.equal(queries.length, count);
      const faults = queries.flatMap(([name, query]) => findFaults(query, exposed).map((fault) => `${name}: ${fault}`));
      assert.deepEqual(faults, []);
    });
  }

  test('with a wrong name are found', () => {
    for (const [query, fault] of [
      ['sum(cfssl_issuer_redy{namespace="a"})', 'no metric cfssl_issuer_redy'],
      ['sum(cfssl_issuer_ready{nam="a"})', 'cfssl_issuer_ready has no label nam'],
      ['sum by (nam) (cfssl_issuer_ready{name="ca"})', 'no label nam to group by'],
      ['rate(cfssl_issuer_signings_total{result="signed"}[5m])', 'cfssl_issuer_signings_total has no result signed'],
      ['time()', 'asks for nothing'],
    ] as const) {
      assert.ok(findFaults(query, exposed).includes(fault), query);
    }
  });
});
