import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Counter, Registry } from '../platform/index.ts';
import { healthRoutes, metricsRoutes } from './servers.ts';

const healthy = { hasSynced: () => true, isOverdue: () => false };

describe('healthRoutes()', () => {
  test('are exactly the two that the manifests probe', () => {
    assert.deepEqual(Object.keys(healthRoutes(healthy)), ['/healthz', '/readyz']);
  });

  test('/healthz is well before the stores are filled', () => {
    const routes = healthRoutes({ ...healthy, hasSynced: () => false });
    assert.deepEqual(routes['/healthz']?.(), { status: 200, body: 'ok\n' });
  });

  test('/healthz is unwell when the process should long have ended', () => {
    const routes = healthRoutes({ ...healthy, isOverdue: () => true });
    assert.deepEqual(routes['/healthz']?.(), { status: 503, body: 'lease is overdue\n' });
  });

  test('/readyz is well as soon as the stores are filled', () => {
    let hasSynced = false;
    const routes = healthRoutes({ ...healthy, hasSynced: () => hasSynced });
    assert.deepEqual(routes['/readyz']?.(), { status: 503, body: 'still listing\n' });
    hasSynced = true;
    assert.deepEqual(routes['/readyz']?.(), { status: 200, body: 'ok\n' });
  });
});

describe('metricsRoutes()', () => {
  test("/metrics is the registry as Prometheus' text", async () => {
    const registry = new Registry();
    new Counter({ name: 'tests_total', help: 'Tests.', registers: [registry] }).inc(2);
    const routes = metricsRoutes(registry);
    assert.deepEqual(Object.keys(routes), ['/metrics']);
    assert.deepEqual(await routes['/metrics']?.(), {
      status: 200,
      body: '# HELP tests_total Tests.\n# TYPE tests_total counter\ntests_total 2\n',
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
    });
  });
});
