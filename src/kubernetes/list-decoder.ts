/**
 * Takes a list apart while it arrives. A list that the API server answers from its cache comes in one piece whatever
 * `limit` says (some 75 MB for 10,000 requests): parsed whole it would hold up the event loop, and with it the lease, and
 * cost its size several times over in memory. Here each item is parsed, and can be pruned, on its own.
 *
 * The decoder only finds where the objects in the top-level `items` array begin and end; what is in them, and what is
 * left when they are taken out, is for `JSON.parse` to judge.
 */
import { KubernetesError } from './errors.ts';

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** What is left of a list without its items. */
export interface ListEnvelope {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

export class ListDecoder {
  readonly #doing: string;
  readonly #maxBytes: number;
  readonly #onItem: (json: string) => void;
  /** Open brackets and braces around the next byte: 1 in the envelope, 2 among the items, 3 and more in one of them. */
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** Where the next backslash of this chunk is, as far as it has been looked for. */
  #nextBackslash = -1;
  #isInItems = false;
  /** The item, or the stretch of envelope, that is not complete yet. */
  #parts: Buffer[] = [];
  #partsLength = 0;
  #envelope = '';

  /** `maxBytes` bounds each item, and the envelope. */
  constructor(options: { readonly doing: string; readonly maxBytes: number }, onItem: (json: string) => void) {
    this.#doing = options.doing;
    this.#maxBytes = options.maxBytes;
    this.#onItem = onItem;
  }

  push(chunk: Buffer): void {
    /** Where the stretch that we keep begins in this chunk; -1 between items. */
    let start = this.#isBetweenItems() ? -1 : 0;
    this.#nextBackslash = -1;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (this.#isInString) {
        i = this.#skipString(chunk, i);
      } else if (this.#isBetweenItems()) {
        if (byte === OPEN_BRACE || byte === CLOSE_BRACKET) {
          start = i; // of an item, or of the rest of the envelope
          this.#depth += byte === OPEN_BRACE ? 1 : -1;
          this.#isInItems = byte === OPEN_BRACE;
        } else if (byte !== COMMA && byte !== undefined && byte > SPACE) {
          throw this.#malformed('an item is not an object');
        }
      } else if (byte === QUOTE) {
        this.#isInString = true;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        this.#depth++;
        if (byte === OPEN_BRACKET && this.#depth === 2 && this.#isAtItems(chunk.subarray(start, i))) {
          this.#keep(chunk.subarray(start, i + 1));
          this.#envelope += this.#take();
          this.#isInItems = true;
          start = -1;
        }
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        this.#depth--;
        if (this.#isBetweenItems()) {
          this.#keep(chunk.subarray(start, i + 1));
          this.#onItem(this.#take());
          start = -1;
        }
      }
    }
    if (start >= 0) this.#keep(chunk.subarray(start));
  }

  /** @throws KubernetesError with code KUBERNETES_MALFORMED when the list was not complete. */
  end(): ListEnvelope {
    const json = this.#envelope + this.#take();
    try {
      return JSON.parse(json) as ListEnvelope;
    } catch (cause) {
      throw this.#malformed(this.#depth > 0 ? 'the list ends too early' : 'it is not JSON', cause);
    }
  }

  /** From inside a string to its closing quote, or to the end of the chunk: most of a list is long strings. */
  #skipString(chunk: Buffer, from: number): number {
    let i = this.#isEscaped ? from + 1 : from;
    this.#isEscaped = false;
    for (;;) {
      const quote = chunk.indexOf(QUOTE, i);
      const end = quote < 0 ? chunk.length : quote;
      if (this.#nextBackslash < i) {
        const found = chunk.indexOf(BACKSLASH, i);
        this.#nextBackslash = found < 0 ? Number.POSITIVE_INFINITY : found;
      }
      if (this.#nextBackslash >= end) {
        this.#isInString = quote < 0;
        return end;
      }
      i = this.#nextBackslash + 2; // What follows a backslash ends nothing.
      if (i > chunk.length) {
        this.#isEscaped = true;
        return chunk.length;
      }
    }
  }

  #isBetweenItems(): boolean {
    return this.#isInItems && this.#depth === 2;
  }

  /** The array that opens here is the envelope's `items`. */
  #isAtItems(before: Buffer): boolean {
    const text = Buffer.concat([...this.#parts, before]).toString('utf8');
    return /"items"\s*:\s*$/.test(text);
  }

  #keep(part: Buffer): void {
    this.#partsLength += part.length;
    if (this.#partsLength > this.#maxBytes) {
      throw new KubernetesError('KUBERNETES_TOO_LARGE', `Cannot ${this.#doing}: more than ${this.#maxBytes} bytes`);
    }
    this.#parts.push(part);
  }

  #take(): string {
    const text = Buffer.concat(this.#parts, this.#partsLength).toString('utf8');
    this.#parts = [];
    this.#partsLength = 0;
    return text;
  }

  #malformed(why: string, cause?: unknown): KubernetesError {
    return new KubernetesError('KUBERNETES_MALFORMED', `Cannot ${this.#doing}: ${why}`, { cause });
  }
}
