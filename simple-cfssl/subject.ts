/**
 * Subjects as CFSSL rewrites them (its `ParseCertificateRequest` and `PopulateSubjectFromCSR`, then Go's `pkix.Name`): the
 * common attributes are grouped by kind, each kind one RDN, in a fixed order; others follow, one RDN each.
 */
import type { NameAttribute } from '../src/x509/index.ts';
import type { RequestedSubject } from './requests.ts';
import { Name } from './x509-library.ts';

/** The common attributes in the order in which they are encoded. */
const COMMON = [
  ['C', '2.5.4.6'],
  ['ST', '2.5.4.8'],
  ['L', '2.5.4.7'],
  ['STREET', '2.5.4.9'],
  ['POSTALCODE', '2.5.4.17'],
  ['O', '2.5.4.10'],
  ['OU', '2.5.4.11'],
  ['CN', '2.5.4.3'],
  ['SERIALNUMBER', '2.5.4.5'],
] as const;
type CommonType = (typeof COMMON)[number][0];

/** Of the other attributes for which `src/x509` has a short name. */
const OIDS: Readonly<Record<string, string>> = {
  SN: '2.5.4.4',
  title: '2.5.4.12',
  GN: '2.5.4.42',
  UID: '0.9.2342.19200300.100.1.1',
  DC: '0.9.2342.19200300.100.1.25',
  emailAddress: '1.2.840.113549.1.9.1',
};

export interface Subject {
  readonly common: Readonly<Record<CommonType, readonly string[]>>;
  /** Attributes of other kinds; their types are OIDs or keys of the table above. */
  readonly others: readonly NameAttribute[];
}

export function groupSubject(encoded: readonly NameAttribute[]): Subject {
  const attributes = encoded.map(({ type, value }) => ({ type, value: decodeHexValue(value) }));
  const values = (type: string): string[] => attributes.filter((a) => a.type === type).map(({ value }) => value);
  // Of the two that can be there only once, the last one counts
  const last = (type: string): string[] =>
    values(type)
      .filter((value) => value !== '')
      .slice(-1);
  return {
    common: {
      C: values('C'),
      ST: values('ST'),
      L: values('L'),
      STREET: values('STREET'),
      POSTALCODE: values('POSTALCODE'),
      O: values('O'),
      OU: values('OU'),
      CN: last('CN'),
      SERIALNUMBER: last('SERIALNUMBER'),
    },
    others: attributes.filter(({ type }) => !COMMON.some(([common]) => common === type)),
  };
}

/** A text that begins with `#` comes as hexadecimal DER, so that it cannot be taken for one. */
function decodeHexValue(value: string): string {
  if (!value.startsWith('#')) return value;
  const der = Buffer.from(value.slice(1), 'hex');
  const lengthByte = der[1] ?? 0;
  return der.toString('utf8', lengthByte < 0x80 ? 2 : 2 + (lengthByte & 0x7f));
}

/** What the request says, filled up from the CSR; attributes for which the request has no field are lost. */
export function overrideSubject(requested: RequestedSubject | undefined, fromCsr: Subject): Subject {
  if (requested === undefined) return fromCsr;
  const names = requested.names ?? [];
  const pick = (values: readonly string[], type: CommonType): readonly string[] => {
    const given = values.filter((value) => value !== '');
    return given.length > 0 ? given : fromCsr.common[type];
  };
  const field = (type: 'C' | 'ST' | 'L' | 'O' | 'OU'): readonly string[] =>
    pick(
      names.map((name) => name[type]),
      type,
    );
  return {
    common: {
      C: field('C'),
      ST: field('ST'),
      L: field('L'),
      STREET: [],
      POSTALCODE: [],
      O: field('O'),
      OU: field('OU'),
      CN: pick([requested.CN], 'CN'),
      SERIALNUMBER: pick([requested.SerialNumber], 'SERIALNUMBER'),
    },
    others: [],
  };
}

export function encodeSubject({ common, others }: Subject): Name {
  const rdns = COMMON.filter(([type]) => common[type].length > 0).map(([type, oid]) => ({
    [oid]: common[type]
      .map(toAttribute)
      .toSorted(compareAttributes)
      .map(({ json }) => json),
  }));
  const more = others.map(({ type, value }) => ({ [OIDS[type] ?? type]: [toAttribute(value).json] }));
  return new Name([...rdns, ...more]);
}

/** Go's choice of the string type. */
function toAttribute(value: string) {
  if (/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(value)) return { tag: 0x13, value, json: { printableString: value } };
  return { tag: 0x0c, value, json: { utf8String: value } };
}

/** The order of DER's SET OF, for attributes of one type: by length, string type, content. */
function compareAttributes(a: { tag: number; value: string }, b: { tag: number; value: string }): number {
  const [aBytes, bBytes] = [Buffer.from(a.value), Buffer.from(b.value)];
  return aBytes.length - bBytes.length || a.tag - b.tag || Buffer.compare(aBytes, bBytes);
}
