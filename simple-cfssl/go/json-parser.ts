/**
 * JSON text to a tree, with the grammar and the syntax errors of Go's encoding/json (Go 1.27, which multirootca 1.7.1 is
 * built with: encoding/json/jsontext and internal/jsonwire). `JSON.parse` will not do: Go's texts end up in answers, and
 * what comes of duplicate keys, of their case and of invalid UTF-8 is decided later, by type.
 */
import { isPrintable, quote, quoteRune } from './quote.ts';

/** `source` gives the value as it was written. */
export type JsonValue = { readonly source: () => string } & (
  | { readonly kind: 'null' | 'number' }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly items: readonly JsonValue[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, JsonValue])[] }
);

/** What Go's `json.Unmarshal` returned as its error; the message is Go's. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}

/** Go's is 10,000, for which the stack would not suffice here. */
const MAX_DEPTH = 1000;
const REPLACEMENT = '\ufffd';
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** @throws JsonError */
export function parseJson(bytes: Uint8Array): JsonValue {
  return new Parser(bytes).parse();
}

class Parser {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  parse(): JsonValue {
    const value = this.#value(1);
    this.#skipWhitespace();
    if (this.#at < this.#bytes.length) throw this.#unexpected('after top-level value');
    return value;
  }

  #value(depth: number): JsonValue {
    this.#skipWhitespace();
    const start = this.#at;
    const content = this.#content(depth);
    const end = this.#at;
    return { ...content, source: () => this.#bytes.toString('utf8', start, end) };
  }

  #content(depth: number) {
    const first = this.#peek();
    switch (first) {
      case 'n':
        this.#literal('null');
        return { kind: 'null' } as const;
      case 't':
        this.#literal('true');
        return { kind: 'bool', value: true } as const;
      case 'f':
        this.#literal('false');
        return { kind: 'bool', value: false } as const;
      case '"':
        return { kind: 'string', value: this.#string() } as const;
      case '[':
        return { kind: 'array', items: this.#array(depth) } as const;
      case '{':
        return { kind: 'object', members: this.#object(depth) } as const;
      default:
        if (!/[-0-9]/.test(first)) throw this.#unexpected('looking for beginning of value');
        this.#number();
        return { kind: 'number' } as const;
    }
  }

  #array(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    this.#open(depth);
    if (this.#take(']')) return items;
    for (;;) {
      items.push(this.#value(depth + 1));
      if (this.#take(']')) return items;
      if (!this.#take(',')) throw this.#unexpected('after array element');
    }
  }

  #object(depth: number): [string, JsonValue][] {
    const members: [string, JsonValue][] = [];
    this.#open(depth);
    if (this.#take('}')) return members;
    for (;;) {
      this.#skipWhitespace();
      if (this.#peek() !== '"') throw this.#unexpected('looking for beginning of object key string');
      const key = this.#string();
      if (!this.#take(':')) throw this.#unexpected('after object key');
      members.push([key, this.#value(depth + 1)]);
      if (this.#take('}')) return members;
      if (!this.#take(',')) throw this.#unexpected('after object key:value pair');
    }
  }

  #open(depth: number): void {
    if (depth > MAX_DEPTH) throw new JsonError('exceeded max depth');
    this.#at += 1;
  }

  #literal(literal: string): void {
    for (const character of literal) {
      if (this.#peek() !== character) {
        throw this.#unexpected(`in literal ${literal} (expecting ${quoteRune(character)})`);
      }
      this.#at += 1;
    }
  }

  #number(): void {
    if (this.#peek() === '-') this.#at += 1;
    if (this.#peek() === '0') this.#at += 1;
    else this.#digits();
    if (this.#peekIf('.')) {
      this.#at += 1;
      this.#digits();
    }
    if (this.#peekIf('e') || this.#peekIf('E')) {
      this.#at += 1;
      if (this.#peekIf('+') || this.#peekIf('-')) this.#at += 1;
      this.#digits();
    }
  }

  #digits(): void {
    if (!/\d/.test(this.#peek())) throw this.#unexpected('in numeric literal');
    while (this.#at < this.#bytes.length && /\d/.test(this.#peek())) this.#at += 1;
  }

  #string(): string {
    this.#at += 1;
    let text = '';
    let plain = this.#at;
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined) throw unexpectedEnd();
      if (byte < 0x20) throw this.#unexpected('in string');
      if (byte !== 0x22 && byte !== 0x5c) {
        this.#at += 1;
        continue;
      }
      // Invalid UTF-8 becomes U+FFFD, as in Go
      text += this.#bytes.toString('utf8', plain, this.#at);
      if (byte === 0x22) {
        this.#at += 1;
        return text.toWellFormed();
      }
      text += this.#escape();
      plain = this.#at;
    }
  }

  #escape(): string {
    const letter = this.#peek(1);
    const known = ESCAPES[letter];
    if (known !== undefined) {
      this.#at += 2;
      return known;
    }
    if (letter !== 'u') throw this.#invalidEscape(2);
    const digits = this.#bytes.toString('latin1', this.#at + 2, this.#at + 6);
    if (digits.length < 4 && /^[0-9a-f]*$/i.test(digits)) throw unexpectedEnd();
    if (!/^[0-9a-f]{4}$/i.test(digits)) throw this.#invalidEscape(6);
    this.#at += 6;
    // A lone surrogate is replaced when the string is complete
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #invalidEscape(length: number): JsonError {
    const text = this.#bytes.toString('utf8', this.#at, this.#at + length);
    const isPlain = Array.from(text).every((c) => c !== '`' && c !== ' ' && c !== REPLACEMENT && isPrintable(c));
    return new JsonError(`invalid escape sequence ${isPlain ? `\`${text}\`` : quote(text)} in string`);
  }

  #skipWhitespace(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return;
      this.#at += 1;
    }
  }

  /** Skips whitespace and, if it follows, the character. */
  #take(character: string): boolean {
    this.#skipWhitespace();
    const isNext = this.#peek() === character;
    if (isNext) this.#at += 1;
    return isNext;
  }

  /** The byte at the position as a character. @throws JsonError at the end */
  #peek(offset = 0): string {
    const byte = this.#bytes[this.#at + offset];
    if (byte === undefined) throw unexpectedEnd();
    return String.fromCharCode(byte);
  }

  #peekIf(character: string): boolean {
    return this.#bytes[this.#at] === character.charCodeAt(0);
  }

  #unexpected(where: string): JsonError {
    const rest = this.#bytes.subarray(this.#at, this.#at + 4);
    const [character = ''] = rest.toString('utf8');
    const isInvalid = character === REPLACEMENT && !rest.subarray(0, 3).equals(Buffer.from(REPLACEMENT));
    const shown = isInvalid ? `'\\x${(rest[0] ?? 0).toString(16)}'` : quoteRune(character);
    return new JsonError(`invalid character ${shown} ${where}`);
  }
}

function unexpectedEnd(): JsonError {
  return new JsonError('unexpected end of JSON input');
}
