/**
 * JSON into typed values by the rules of Go's `json.Unmarshal`, with its error texts: keys in any case, the last duplicate
 * wins (and is read over the former), unknown keys are ignored, `null` changes nothing, a wrong type is an error that names
 * the Go type. And values back into JSON as Go's `json.Encoder` writes them.
 *
 * A `Type` is what Go's reflection knows of one. Only the first error matters, since any error refuses the whole request.
 */
import { decodeBase64 } from './base64.ts';
import { JsonError, type JsonValue, parseJson } from './json-parser.ts';
import { parseTime } from './time.ts';

export interface Type<T> {
  /** Go's name for it. */
  readonly goType: string;
  readonly zero: T;
  /** `former` is what the same place held before. */
  decode(value: JsonValue, place: Place, former: T): T;
}

export type TypeOf<T> = T extends Type<infer Value> ? Value : never;

/** Where a value stands: the struct at the top, and the keys and indices below it. */
interface Place {
  readonly root: string;
  readonly path: readonly string[];
}

/** @throws JsonError */
export function decodeJson<T>(bytes: Uint8Array, type: Type<T>): T {
  const root = type.goType.slice(type.goType.lastIndexOf('.') + 1);
  return type.decode(parseJson(bytes), { root, path: [] }, type.zero);
}

/** One line, as `json.Encoder` writes it: the characters that HTML cares about are escaped. */
export function encodeJson(value: unknown): string {
  const escape = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `${JSON.stringify(value).replaceAll(/[<>&\u2028\u2029]/g, escape)}\n`;
}

function mismatch(value: JsonValue, place: Place, goType: string, details = ''): JsonError {
  const field = place.path.join('.');
  // Go's own heuristic: a number at the end is taken for an index, which no struct has
  const into = /(?:^|\.)\d+$/.test(field) ? '' : 'Go struct field ';
  const target = field === '' ? 'Go value' : `${into}${place.root}.${field}`;
  return new JsonError(`json: cannot unmarshal ${value.kind}${details} into ${target} of type ${goType}`);
}

/** A type that takes one kind of JSON value, and `null` for "no change". */
function scalar<T>(goType: string, zero: T, read: (value: JsonValue, place: Place) => T | undefined): Type<T> {
  return {
    goType,
    zero,
    decode(value, place, former) {
      if (value.kind === 'null') return former;
      const result = read(value, place);
      if (result === undefined) throw mismatch(value, place, goType);
      return result;
    },
  };
}

export const goString = scalar('string', '', (value) => (value.kind === 'string' ? value.value : undefined));

export const goBool = scalar('bool', false, (value) => (value.kind === 'bool' ? value.value : undefined));

const INT64_LIMIT = 2n ** 63n;

function goInteger(goType: 'int' | 'int64'): Type<number> {
  return scalar(goType, 0, (value, place) => {
    if (value.kind !== 'number') return undefined;
    const text = value.source();
    const integer = /^-?\d+$/.test(text) ? BigInt(text) : INT64_LIMIT;
    if (integer < -INT64_LIMIT || integer >= INT64_LIMIT) throw mismatch(value, place, goType, ` ${text}`);
    return Number(integer);
  });
}

export const goInt = goInteger('int');
export const goInt64 = goInteger('int64');

/** `[]byte`: base64, or an array of numbers. */
export const goBytes: Type<Buffer> = {
  goType: '[]uint8',
  zero: Buffer.alloc(0),
  decode(value, place) {
    if (value.kind === 'null') return this.zero;
    if (value.kind === 'array') return Buffer.from(value.items.map((item, index) => readByte(item, index, place)));
    if (value.kind !== 'string') throw mismatch(value, place, this.goType);
    try {
      return decodeBase64(value.value);
    } catch (error) {
      throw new JsonError(`${mismatch(value, place, this.goType).message}: ${(error as Error).message}`);
    }
  },
};

function readByte(value: JsonValue, index: number, place: Place): number {
  const inside = { ...place, path: [...place.path, String(index)] };
  if (value.kind === 'null') return 0;
  if (value.kind !== 'number') throw mismatch(value, inside, 'uint8');
  const byte = /^\d{1,3}$/.test(value.source()) ? Number(value.source()) : 256;
  if (byte > 255) throw mismatch(value, inside, 'uint8', ` ${value.source()}`);
  return byte;
}

/** `time.Time`, in milliseconds since the epoch; undefined for the zero time. */
export const goTime: Type<number | undefined> = {
  goType: 'time.Time',
  zero: undefined,
  decode(value, place, former) {
    if (value.kind === 'null') return former;
    if (value.kind !== 'string') throw mismatch(value, place, this.goType);
    try {
      return parseTime(value.value);
    } catch (error) {
      throw new JsonError((error as Error).message, { cause: error });
    }
  },
};

/** `*big.Int`, which reads the number itself. */
export const goBigInt: Type<bigint | undefined> = {
  goType: '*big.Int',
  zero: undefined,
  decode(value) {
    if (value.kind === 'null') return undefined;
    if (!/^-?\d+$/.test(value.source())) {
      throw new JsonError(`math/big: cannot unmarshal ${JSON.stringify(value.source())} into a *big.Int`);
    }
    return BigInt(value.source());
  },
};

/** CFSSL's own `config.OID`, dotted. It is told of `null` too, and does not want it. */
export const goOid: Type<string> = {
  goType: 'config.OID',
  zero: '',
  decode(value) {
    if (value.kind !== 'string') throw new JsonError(`OID JSON string not wrapped in quotes.${value.source()}`);
    // What stands between the quotes, escapes and all, is split and counted
    const oid = value.source().slice(1, -1);
    if (!/\d/.test(oid)) throw new JsonError('Invalid OID');
    const arcs = oid.split('.').map((arc) => {
      if (!/^[+-]?\d+$/.test(arc)) throw new JsonError(`strconv.Atoi: parsing ${JSON.stringify(arc)}: invalid syntax`);
      const number = BigInt(arc.replace('+', ''));
      if (number >= -INT64_LIMIT && number < INT64_LIMIT) return number;
      throw new JsonError(`strconv.Atoi: parsing ${JSON.stringify(arc)}: value out of range`);
    });
    return arcs.join('.');
  },
};

/** `[]T`; null when it is absent, which Go can tell from an empty one. */
export function goSlice<T>(item: Type<T>): Type<readonly T[] | null> {
  return {
    goType: `[]${item.goType}`,
    zero: null,
    decode(value, place, former) {
      if (value.kind === 'null') return null;
      if (value.kind !== 'array') throw mismatch(value, place, this.goType);
      return value.items.map((element, index) =>
        item.decode(element, { ...place, path: [...place.path, String(index)] }, former?.[index] ?? item.zero),
      );
    },
  };
}

/** `map[string]T`; null when it is absent. */
export function goMap<T>(item: Type<T>): Type<ReadonlyMap<string, T> | null> {
  return {
    goType: `map[string]${item.goType}`,
    zero: null,
    decode(value, place, former) {
      if (value.kind === 'null') return null;
      if (value.kind !== 'object') throw mismatch(value, place, this.goType);
      const map = new Map(former ?? []);
      for (const [key, member] of value.members) {
        map.set(key, item.decode(member, { ...place, path: [...place.path, key] }, item.zero));
      }
      return map;
    },
  };
}

/** `interface{}`, of which only the syntax is checked. */
export const goAny: Type<JsonValue | null> = {
  goType: 'interface {}',
  zero: null,
  decode: (value) => value,
};

/** `*T`; undefined when it is absent. The errors name `T`. */
export function goPointer<T>(target: Type<T>): Type<T | undefined> {
  return {
    goType: `*${target.goType}`,
    zero: undefined,
    decode: (value, place, former) =>
      value.kind === 'null' ? undefined : target.decode(value, place, former ?? target.zero),
  };
}

/** A struct; the keys of `fields` are those of the JSON. */
export function goStruct<Struct extends object>(
  goType: string,
  fields: { readonly [Name in keyof Struct]: Type<Struct[Name]> },
): Type<Readonly<Struct>> {
  const table = Object.entries<Type<unknown>>(fields);
  // Unicode's simple case folding, as Go's: the long s is an s here too
  const matchers = table.map(([name, type]) => ({ name, type, pattern: new RegExp(`^${name}$`, 'iu') }));
  return {
    goType,
    zero: Object.fromEntries(table.map(([name, type]) => [name, type.zero])) as Struct,
    decode(value, place, former) {
      if (value.kind === 'null') return former;
      if (value.kind !== 'object') throw mismatch(value, place, goType);
      const struct: Record<string, unknown> = { ...former };
      for (const [key, member] of value.members) {
        const field = matchers.find(({ pattern }) => pattern.test(key));
        if (field === undefined) continue;
        struct[field.name] = field.type.decode(member, { ...place, path: [...place.path, key] }, struct[field.name]);
      }
      return struct as Struct;
    },
  };
}
