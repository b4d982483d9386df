/** Reads answers with a bound: whole, and line by line. */
import type { Readable } from 'node:stream';
import type { Clock } from '../platform/index.ts';
import { KubernetesError } from './errors.ts';

const LINE_FEED = 0x0a;

export interface BodyOptions {
  /** Completes "Cannot …" in error messages. */
  readonly doing: string;
  /** Largest body, or longest line. */
  readonly maxBytes: number;
}

/** How long the pieces of a body may be worked on before others have their turn. */
const TURN_MS = 8;

/**
 * The pieces of a body that may be long, as they arrive. A fast sender's megabytes are delivered without the event loop
 * coming round in between, so that work on them would hold up the lease's renewal: we let it come round.
 */
export async function* inTurns(body: Readable, clock: Clock): AsyncGenerator<Buffer, void> {
  let turnMs = clock.monotonicMs();
  for await (const chunk of body as AsyncIterable<Buffer>) {
    yield chunk;
    if (clock.monotonicMs() - turnMs < TURN_MS) continue;
    await new Promise((resolve) => setImmediate(resolve));
    turnMs = clock.monotonicMs();
  }
}

/** The whole body as text. @throws KubernetesError with code KUBERNETES_TOO_LARGE; the connection is then closed. */
export async function readBody(body: Readable, { doing, maxBytes }: BodyOptions): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge(doing, maxBytes); // Leaving the loop destroys the stream.
    chunks.push(chunk);
  }
  return concat(chunks).toString('utf8');
}

/**
 * The lines of a body as they arrive, empty ones left out. Lines are split by bytes, so a character that arrives in two
 * parts is never torn. A last line without its line feed is dropped: the sender did not finish it.
 */
export async function* readLines(
  body: AsyncIterable<Buffer>,
  { doing, maxBytes }: BodyOptions,
): AsyncGenerator<string, void> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      if (length + end - start > maxBytes) throw tooLarge(doing, maxBytes);
      parts.push(chunk.subarray(start, end));
      const line = concat(parts).toString('utf8');
      parts = [];
      length = 0;
      start = end + 1;
      if (line !== '') yield line;
    }
    if (start === chunk.length) continue;
    length += chunk.length - start;
    if (length > maxBytes) throw tooLarge(doing, maxBytes);
    parts.push(chunk.subarray(start));
  }
}

function concat(parts: Buffer[]): Buffer {
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

function tooLarge(doing: string, maxBytes: number): KubernetesError {
  return new KubernetesError('KUBERNETES_TOO_LARGE', `Cannot ${doing}: more than ${maxBytes} bytes`);
}
