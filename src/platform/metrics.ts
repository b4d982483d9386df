/** Prometheus metrics: one registry, made by the command and handed down. Names follow controller-runtime and client-go. */
export { Counter, Gauge, Histogram, Registry } from 'prom-client';
