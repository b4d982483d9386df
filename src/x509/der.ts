/**
 * A strict DER reader: definite, minimal lengths, single-byte tags, nothing left over. The model is Go's
 * `golang.org/x/crypto/cryptobyte`, since Go's parser is the one that signs what we have checked.
 * All slices are views of the input; every byte is looked at once per level, and levels are limited.
 */
import { X509Error, type X509ErrorCode, type X509Object } from './errors.ts';

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of `[number]`, primitive or constructed. */
export function contextTag(number: number, form: 'primitive' | 'constructed'): number {
  return (form === 'constructed' ? 0xa0 : 0x80) | number;
}

/** Nesting that real requests and certificates stay far below (about 10). */
const MAX_DEPTH = 32;
const CONSTRUCTED = 0x20;
/** Go's limit for an arc of an object identifier. */
const MAX_ARC = 2 ** 31 - 1;
/** Far above the OIDs in use; it keeps messages that name one short. */
const MAX_OID_BYTES = 64;

export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag, length and content. */
  readonly encoded: Uint8Array;
}

/** A cursor over the elements of one constructed value. `what` in its methods is the field's name in messages. */
export class DerReader {
  readonly object: X509Object;
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array, object: X509Object) {
    this.#bytes = bytes;
    this.object = object;
  }

  get isEmpty(): boolean {
    return this.#offset === this.#bytes.length;
  }

  get nextTag(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** The error of this parse, to be thrown: `Cannot parse CSR: <state>`. */
  error(code: X509ErrorCode, state: string): X509Error {
    return new X509Error(code, this.object, `Cannot parse ${this.object}: ${state}`);
  }

  /** @throws X509Error X509_DER when the next element is truncated or not encoded as DER demands. */
  readElement(what: string): DerElement {
    const start = this.#offset;
    const tag = this.#byte(what);
    if ((tag & 0x1f) === 0x1f) throw this.error('X509_DER', `${what} has a tag of several bytes`);
    const length = this.#length(what);
    const contentStart = this.#offset;
    const end = contentStart + length;
    if (end > this.#bytes.length) throw this.error('X509_DER', `${what} is truncated`);
    this.#offset = end;
    return { tag, content: this.#bytes.subarray(contentStart, end), encoded: this.#bytes.subarray(start, end) };
  }

  /** The content of the next element, which must have this tag. */
  read(tag: number, what: string): Uint8Array {
    if (this.nextTag !== tag) throw this.error('X509_DER', `${what} ${describeTag(this.nextTag)}, not ${hex(tag)}`);
    return this.readElement(what).content;
  }

  /** The content of the next element if it has this tag. */
  readOptional(tag: number, what: string): Uint8Array | undefined {
    return this.nextTag === tag ? this.readElement(what).content : undefined;
  }

  /** A reader of the inside of the next element, which must have this tag. */
  enter(tag: number, what: string): DerReader {
    return new DerReader(this.read(tag, what), this.object);
  }

  /** As `enter`, together with the whole encoding of the element. */
  enterEncoded(tag: number, what: string): { readonly encoded: Uint8Array; readonly inside: DerReader } {
    const start = this.#offset;
    const inside = this.enter(tag, what);
    return { encoded: this.#bytes.subarray(start, this.#offset), inside };
  }

  enterOptional(tag: number, what: string): DerReader | undefined {
    return this.nextTag === tag ? this.enter(tag, what) : undefined;
  }

  /** Refuses bytes that are left. */
  end(what: string): void {
    const left = this.#bytes.length - this.#offset;
    if (left > 0) throw this.error('X509_DER', `${left} ${left === 1 ? 'byte follows' : 'bytes follow'} ${what}`);
  }

  /** An explicit FALSE is let through where DER wants a default left out, as Go does. */
  readBoolean(what: string): boolean {
    const content = this.read(TAG.boolean, what);
    if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
      throw this.error('X509_DER', `${what} is no DER BOOLEAN`);
    }
    return content[0] === 0xff;
  }

  /** The two's complement bytes of an INTEGER in their minimal form. */
  readInteger(what: string): Uint8Array {
    const content = this.read(TAG.integer, what);
    const [first = 0, second = 0] = content;
    const isPadded = content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
    if (content.length === 0 || isPadded) throw this.error('X509_DER', `${what} is no minimal INTEGER`);
    return content;
  }

  /** A non-negative INTEGER below 2^31. */
  readSmallInteger(what: string): number {
    const content = this.readInteger(what);
    if (content.length > 4 || (content[0] ?? 0) >= 0x80) throw this.error('X509_CONTENT', `${what} is out of range`);
    return content.reduce((value, byte) => value * 256 + byte, 0);
  }

  /** A BIT STRING; the unused bits are zero. */
  readBitString(what: string): { readonly unusedBits: number; readonly bytes: Uint8Array } {
    const content = this.read(TAG.bitString, what);
    const unusedBits = content[0] ?? 8;
    const bytes = content.subarray(1);
    const unused = (1 << unusedBits) - 1;
    if (unusedBits > 7 || (bytes.length === 0 && unusedBits > 0) || ((bytes.at(-1) ?? 0) & unused) !== 0) {
      throw this.error('X509_DER', `${what} is no DER BIT STRING`);
    }
    return { unusedBits, bytes };
  }

  /** A BIT STRING of whole bytes, as signatures and keys are. */
  readBitStringBytes(what: string): Uint8Array {
    const { unusedBits, bytes } = this.readBitString(what);
    if (unusedBits !== 0) throw this.error('X509_DER', `${what} has ${unusedBits} unused bits`);
    return bytes;
  }

  readOid(what: string): string {
    return this.decodeOid(this.read(TAG.oid, what), what);
  }

  /** The content of an OBJECT IDENTIFIER in dotted form. */
  decodeOid(content: Uint8Array, what: string): string {
    if (content.length > MAX_OID_BYTES) throw this.error('X509_LIMIT', `${what} has ${content.length} bytes`);
    const arcs: number[] = [];
    let arc = 0;
    let isInside = false;
    for (const byte of content) {
      if (!isInside && byte === 0x80) throw this.error('X509_DER', `${what} is padded`);
      arc = arc * 128 + (byte & 0x7f);
      if (arc > MAX_ARC) throw this.error('X509_DER', `${what} has an arc above ${MAX_ARC}`);
      isInside = byte >= 0x80;
      if (isInside) continue;
      // X.690 8.19.4: the first two arcs share one number, and the first is 0, 1 or 2
      if (arcs.length === 0) {
        const root = Math.min(Math.floor(arc / 40), 2);
        arcs.push(root, arc - 40 * root);
      } else {
        arcs.push(arc);
      }
      arc = 0;
    }
    if (content.length === 0 || isInside) throw this.error('X509_DER', `${what} is no OBJECT IDENTIFIER`);
    return arcs.join('.');
  }

  /** Reads everything inside, so that parts which nobody interprets are DER and shallow too. */
  walk(depth = 1): void {
    if (depth > MAX_DEPTH) throw this.error('X509_LIMIT', `it is nested deeper than ${MAX_DEPTH} levels`);
    while (!this.isEmpty) {
      const { tag, content } = this.readElement('an element');
      if ((tag & CONSTRUCTED) !== 0) new DerReader(content, this.object).walk(depth + 1);
    }
  }

  #byte(what: string): number {
    const byte = this.#bytes[this.#offset];
    if (byte === undefined) throw this.error('X509_DER', `${what} is truncated`);
    this.#offset += 1;
    return byte;
  }

  #length(what: string): number {
    const first = this.#byte(what);
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0) throw this.error('X509_DER', `${what} has an indefinite length`);
    if (count > 4) throw this.error('X509_DER', `${what} has a length of ${count} bytes`);
    let length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + this.#byte(what);
    if (length < 0x80 || length < 256 ** (count - 1)) {
      throw this.error('X509_DER', `${what} has a length that is not minimal`);
    }
    return length;
  }
}

/** A reader of the one SEQUENCE that `bytes` consist of, after a walk over all of it. */
export function openSequence(bytes: Uint8Array, object: X509Object, what: string): DerReader {
  new DerReader(bytes, object).walk();
  const outer = new DerReader(bytes, object);
  const inner = outer.enter(TAG.sequence, what);
  outer.end(what);
  return inner;
}

function describeTag(tag: number | undefined): string {
  return tag === undefined ? 'is missing' : `has tag ${hex(tag)}`;
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`;
}
