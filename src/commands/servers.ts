/** What the two small HTTP servers answer. */
import type { HttpServerOptions, Registry } from '../platform/index.ts';

export interface Health {
  /** Whether its stores are filled. */
  readonly hasSynced: () => boolean;
  /** Whether it has lost its lease so long ago that it should have ended. */
  readonly isOverdue: () => boolean;
}

/** `/healthz`: the process need not be restarted. `/readyz`: it could work, whether it leads or not. */
export function healthRoutes({ hasSynced, isOverdue }: Health): HttpServerOptions['routes'] {
  return {
    '/healthz': () => (isOverdue() ? { status: 503, body: 'lease is overdue\n' } : { status: 200, body: 'ok\n' }),
    '/readyz': () => (hasSynced() ? { status: 200, body: 'ok\n' } : { status: 503, body: 'still listing\n' }),
  };
}

export function metricsRoutes(registry: Registry): HttpServerOptions['routes'] {
  return {
    '/metrics': async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType }),
  };
}
