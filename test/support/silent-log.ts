/** A logger for tests that are not about what is logged. */
import type { Logger } from '../../src/platform/index.ts';

export const silentLog: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
