/** Distinguished names (RFC 5280, 4.1.2.4) and the strings in them. */
import { toHex, toLatin1 } from './bytes.ts';
import { type DerElement, type DerReader, TAG } from './der.ts';
import { printable } from './errors.ts';

export interface NameAttribute {
  /** The usual short name ("CN", "OU"), or the OID where there is none. */
  readonly type: string;
  /** Text, or `#` and the hexadecimal DER of a value that is no string (RFC 4514, 2.4). */
  readonly value: string;
}

/** Relative distinguished names in the order of the encoding, each of one or more attributes. */
export type DistinguishedName = readonly (readonly NameAttribute[])[];

const SHORT_NAMES: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.4': 'SN',
  '2.5.4.5': 'SERIALNUMBER',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.9': 'STREET',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '2.5.4.12': 'title',
  '2.5.4.17': 'POSTALCODE',
  '2.5.4.42': 'GN',
  '0.9.2342.19200300.100.1.1': 'UID',
  '0.9.2342.19200300.100.1.25': 'DC',
  '1.2.840.113549.1.9.1': 'emailAddress',
};

/** The Name inside `reader`, which is its SEQUENCE. */
export function parseName(reader: DerReader): DistinguishedName {
  const rdns: NameAttribute[][] = [];
  while (!reader.isEmpty) {
    const set = reader.enter(TAG.set, 'an RDN');
    const attributes: NameAttribute[] = [];
    do {
      const attribute = set.enter(TAG.sequence, 'a name attribute');
      const oid = attribute.readOid('a name attribute type');
      const value = attribute.readElement('a name attribute value');
      attribute.end('a name attribute');
      attributes.push({ type: SHORT_NAMES[oid] ?? oid, value: attributeValue(attribute, value) });
    } while (!set.isEmpty);
    rdns.push(attributes);
  }
  return rdns;
}

function attributeValue(reader: DerReader, element: DerElement): string {
  const text = stringOrHex(reader, element);
  // The oldest trick with names: what C code reads ends at the NUL
  if (text.includes('\0')) throw reader.error('X509_CONTENT', 'a name attribute contains NUL');
  return text;
}

/** The text, or `#` and hexadecimal DER: for what is no string, and for a string that looks like that. */
export function stringOrHex(reader: DerReader, element: DerElement): string {
  const text = decodeString(reader, element);
  return text === undefined || text.startsWith('#') ? `#${toHex(element.encoded)}` : text;
}

/** The text of a string element, or undefined when it is of no string type. */
function decodeString(reader: DerReader, { tag, content }: DerElement): string | undefined {
  switch (tag) {
    case TAG.utf8String:
      return decodeWith('utf-8', reader, content);
    case TAG.printableString:
      // Like Go, with the asterisk and ampersand of real certificates
      return matching(/^[A-Za-z0-9 '()+,\-./:=?*&]*$/, toLatin1(content), reader);
    case TAG.numericString:
      return matching(/^[0-9 ]*$/, toLatin1(content), reader);
    case TAG.ia5String:
      // oxlint-disable-next-line no-control-regex -- IA5 is ASCII, controls included
      return matching(/^[\0-\x7f]*$/, toLatin1(content), reader);
    case TAG.teletexString:
      return toLatin1(content);
    case TAG.bmpString:
      return decodeWith('utf-16be', reader, content);
    default:
      return undefined;
  }
}

function matching(pattern: RegExp, text: string, reader: DerReader): string {
  if (!pattern.test(text)) throw reader.error('X509_CONTENT', `"${printable(text)}" does not fit its string type`);
  return text;
}

function decodeWith(encoding: string, reader: DerReader, content: Uint8Array): string {
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(content);
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw reader.error('X509_CONTENT', `a string is not ${encoding}`);
  }
}

/** The name as in RFC 4514, most specific part first: `CN=a,OU=b+OU=c,O=d`. Other names have other texts. */
export function formatName(name: DistinguishedName): string {
  return name
    .toReversed()
    .map((rdn) => rdn.map(({ type, value }) => `${type}=${escapeValue(value)}`).join('+'))
    .join(',');
}

function escapeValue(value: string): string {
  return value.replaceAll(/["+,;<>\\]|^ | $/g, (character) => `\\${character}`);
}
