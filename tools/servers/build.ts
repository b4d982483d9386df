// Builds every server that is not in the cache yet, one after the other. Exits with 1 and says which build failed and
// why if one does, 130 if interrupted.

import { formatElapsed } from '../progress.ts';
import { BINARY_NAMES, ensureBinary } from './binaries.ts';
import { ServersError } from './errors.ts';

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted.abort();
  });
}

try {
  for (const name of BINARY_NAMES) {
    const startedMs = performance.now();
    const path = await ensureBinary(name, { signal: interrupted.signal });
    console.log(`${name}: ${path} (${formatElapsed(performance.now() - startedMs)})`);
  }
} catch (error) {
  if (interrupted.signal.aborted) {
    process.exitCode = 130;
  } else if (error instanceof ServersError) {
    console.error(error.message);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
