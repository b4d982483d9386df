/** What the two small HTTP servers answer. */
import type { HttpServerOptions, Registry } from '../platform/index.ts';

/** `/healthz`: the process is alive. `/readyz`: its stores are filled. */
export function healthRoutes(hasSynced: () => boolean): HttpServerOptions['routes'] {
  return {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => (hasSynced() ? { status: 200, body: 'ok\n' } : { status: 503, body: 'still listing\n' }),
  };
}

export function metricsRoutes(registry: Registry): HttpServerOptions['routes'] {
  return {
    '/metrics': async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType }),
  };
}
