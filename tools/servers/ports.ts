// Free loopback ports. They lie below the ports that systems hand to outgoing connections (32768 and up), so that a
// stopped server finds its port again. Another process may still take one between choosing and binding: the server
// then says so, and withFreePort() tries another.

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

import { ServersError } from './errors.ts';

const FIRST_PORT = 20_000;
const LAST_PORT = 29_999;
const ATTEMPTS = 5;

// Handed out by this process: two starts at the same time must not get the same one.
const handedOut = new Set<number>();

/** Calls `start` with a free port, and again with another while it fails with SERVERS_ADDRESS_IN_USE. */
export async function withFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort();
    try {
      return await start(port);
    } catch (error) {
      const isTaken = error instanceof ServersError && error.code === 'SERVERS_ADDRESS_IN_USE';
      if (!isTaken || attempt === ATTEMPTS) throw error;
    }
  }
}

async function findFreePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, LAST_PORT + 1);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isFree(port)) return port;
    handedOut.delete(port);
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
