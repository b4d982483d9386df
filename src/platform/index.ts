export { type BackoffOptions, backoffMs } from './backoff.ts';
export { type Cancel, type Clock, systemClock, TimeoutError, withTimeout } from './clock.ts';
export {
  type HttpAnswer,
  type HttpServer,
  type HttpServerOptions,
  parseBindAddress,
  startHttpServer,
} from './http-server.ts';
export { createLogger, errorFields, type LogEncoding, type LogFields, type Logger, type LogLevel } from './log.ts';
export { Counter, Gauge, Histogram, Registry } from './metrics.ts';
export { formatDuration, formatMicroTime, formatTime, parseDuration, parseTime } from './time.ts';
