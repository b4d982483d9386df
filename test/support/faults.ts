/** What can go wrong with one answer of the API server: each fault decides what the client gets instead of it. */
import type { ServerResponse } from 'node:http';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import type { Dispatcher } from 'undici';

/** One request and what may be done about it. */
export interface Exchange {
  readonly response: ServerResponse;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
  /** Aborts when the client has gone or the fault is over. */
  readonly over: AbortSignal;
  /** Sends the request to the API server. */
  forward(): Promise<Dispatcher.ResponseData>;
  /** Ends the client's connection with a reset. */
  reset(): void;
}

export type Fault = (exchange: Exchange) => Promise<void>;

/** No fault: the answer as it is. */
export const passOn: Fault = async (exchange) => {
  for await (const chunk of begin(exchange)) await write(exchange, chunk);
  exchange.response.end();
};

/** Another answer, without asking the server. */
export function answer(status: number, { headers = {}, body = {} }: { headers?: object; body?: object } = {}): Fault {
  return async ({ response }) => {
    const text = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code: status, message: 'A fault', ...body };
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(text));
  };
}

/** A watch that delivers one ERROR event and ends. */
export function errorEvent(code: number, reason: string): Fault {
  return async ({ response }) => {
    const object = { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: 'A fault' };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
  };
}

/** The server has done its work, but the answer never comes: the connection is reset. */
export const resetBefore: Fault = async (exchange) => {
  await exchange.forward();
  exchange.reset();
};

/** The connection is reset once so much of the body has been delivered. */
export function resetWithin(bytes: number): Fault {
  return async (exchange) => {
    await writeUpTo(exchange, bytes);
    exchange.reset();
  };
}

/** The answer is complete, then the connection is reset. */
export const resetAfter: Fault = async (exchange) => {
  exchange.response.once('finish', () => exchange.reset());
  await passOn(exchange);
};

/** A bad connection: so much comes through (0: not even the headers), then nothing, and then, when it is over, a reset. */
export function silentFrom(bytes: number): Fault {
  return async (exchange) => {
    if (bytes > 0) await writeUpTo(exchange, bytes);
    await whenOver(exchange);
    exchange.reset();
  };
}

/** A slow connection, until the fault is over. */
export function slow(pieceBytes: number, pauseMs: number): Fault {
  return async (exchange) => {
    for await (const chunk of begin(exchange)) {
      for (let start = 0; start < chunk.length; start += pieceBytes) {
        await write(exchange, chunk.subarray(start, start + pieceBytes));
        if (!exchange.over.aborted) await sleep(pauseMs);
      }
    }
    exchange.response.end();
  };
}

/** Everything comes, but in pieces that end in the middle of a character wherever there is one of several bytes. */
export const tornCharacters: Fault = async (exchange) => {
  for await (const chunk of begin(exchange)) {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      if (!isFirstOfSeveral(chunk[i])) continue;
      await write(exchange, chunk.subarray(start, i + 1));
      await setImmediate(); // Lets the piece go out on its own.
      start = i + 1;
    }
    await write(exchange, chunk.subarray(start));
  }
  exchange.response.end();
};

/** The connection is reset in the middle of the first character of several bytes. */
export const cutWithinCharacter: Fault = async (exchange) => {
  for await (const chunk of begin(exchange)) {
    const first = chunk.findIndex(isFirstOfSeveral);
    await write(exchange, first < 0 ? chunk : chunk.subarray(0, first + 1));
    if (first >= 0) break;
  }
  exchange.reset();
};

/** The answer ends in good order, but is not complete: truncated JSON. */
export function endsAfter(bytes: number): Fault {
  return async (exchange) => {
    await writeUpTo(exchange, bytes);
    exchange.response.end();
  };
}

/** The first line comes without its second half, the rest as it is. */
export const halfLine: Fault = async (exchange) => {
  let isBroken = false;
  for await (const chunk of begin(exchange)) {
    const end = isBroken ? 0 : chunk.indexOf('\n');
    isBroken = true;
    if (end > 0) await write(exchange, chunk.subarray(0, end / 2));
    await write(exchange, chunk.subarray(end));
  }
  exchange.response.end();
};

/** A watch that ends in good order after its first event. */
export const closedAfterEvent: Fault = async (exchange) => {
  for await (const chunk of begin(exchange)) {
    const end = chunk.indexOf('\n');
    await write(exchange, end < 0 ? chunk : chunk.subarray(0, end + 1));
    if (end >= 0) break;
  }
  exchange.response.end();
};

/** A watch that ends as soon as it has begun. */
export const closedAtOnce: Fault = async ({ response }) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end();
};

/** The answer ends in good order, and at the same time the connection is reset: two ends for one request. */
export const closedTwice: Fault = async (exchange) => {
  exchange.response.writeHead(200, { 'content-type': 'application/json' });
  exchange.response.end();
  exchange.response.socket?.end();
  exchange.reset();
};

/** The connection ends before the answer does. */
export const closedBeforeEnd: Fault = async (exchange) => {
  await writeUpTo(exchange, 1);
  exchange.response.socket?.end();
};

/** Every line comes twice. */
export const duplicates: Fault = async (exchange) => {
  let rest = '';
  for await (const chunk of begin(exchange)) {
    const lines = (rest + chunk.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) await write(exchange, Buffer.from(`${line}\n${line}\n`, 'latin1'));
  }
  exchange.response.end();
};

/** Whether the error is only how we learn that the client has gone. */
export function isGone(error: unknown, gone: AbortSignal): boolean {
  return gone.aborted || error === gone.reason;
}

/** The answer's head goes to the client; its body is the caller's. */
async function* begin(exchange: Exchange): AsyncGenerator<Buffer, void> {
  const { statusCode, headers, body } = await exchange.forward();
  const { 'content-length': _, connection: __, 'transfer-encoding': ___, ...rest } = headers;
  exchange.response.writeHead(statusCode, rest as Record<string, string>);
  exchange.response.flushHeaders();
  for await (const chunk of body as AsyncIterable<Buffer>) yield chunk;
}

/** The first bytes of the body; returns before it has ended if it has that many. */
async function writeUpTo(exchange: Exchange, bytes: number): Promise<void> {
  let left = bytes;
  for await (const chunk of begin(exchange)) {
    await write(exchange, chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) return;
  }
}

async function write({ response, gone }: Exchange, chunk: Buffer): Promise<void> {
  gone.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    response.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

async function whenOver({ over }: Exchange): Promise<void> {
  if (over.aborted) return;
  await new Promise<void>((resolve) => over.addEventListener('abort', () => resolve(), { once: true }));
}

function isFirstOfSeveral(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0xc0;
}
