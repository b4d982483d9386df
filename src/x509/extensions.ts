/** The extensions that we judge (RFC 5280, 4.2), in certificates and requests alike. Others are only looked at for duplicates. */
import { DerReader, openSequence, TAG } from './der.ts';
import { parseGeneralNames, type SubjectAltName } from './general-names.ts';
import { extendedKeyUsageName, type KeyUsage, keyUsageNames } from './usages.ts';

export interface Extension {
  readonly critical: boolean;
  /** DER of the extension's own type. */
  readonly value: Uint8Array;
}

export interface Extensions {
  readonly names: readonly SubjectAltName[];
  /** The extension that `names` are from. */
  readonly subjectAltName?: Extension;
  readonly hasBasicConstraints: boolean;
  readonly isCa: boolean;
  readonly keyUsages: readonly KeyUsage[];
  /** cert-manager's words, or OIDs. */
  readonly extendedKeyUsages: readonly string[];
  readonly hasCtPoison: boolean;
}

const OID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  ctPoison: '1.3.6.1.4.1.11129.2.4.3',
} as const;

export const NO_EXTENSIONS: Extensions = {
  names: [],
  hasBasicConstraints: false,
  isCa: false,
  keyUsages: [],
  extendedKeyUsages: [],
  hasCtPoison: false,
};

/** The Extensions inside `reader`, which is their SEQUENCE. An extension that comes twice is refused, as Go does. */
export function parseExtensions(reader: DerReader): Extensions {
  const byOid = new Map<string, Extension>();
  while (!reader.isEmpty) {
    const extension = reader.enter(TAG.sequence, 'an extension');
    const oid = extension.readOid('an extension type');
    const critical = extension.nextTag === TAG.boolean && extension.readBoolean("an extension's critical flag");
    const value = extension.read(TAG.octetString, "an extension's value");
    extension.end('an extension');
    if (byOid.has(oid)) throw reader.error('X509_CONTENT', `extension ${oid} is there twice`);
    byOid.set(oid, { critical, value });
  }
  const subjectAltName = byOid.get(OID.subjectAltName);
  const basicConstraints = byOid.get(OID.basicConstraints);
  const keyUsage = byOid.get(OID.keyUsage);
  const extendedKeyUsage = byOid.get(OID.extendedKeyUsage);
  const open = ({ value }: Extension, what: string) => openSequence(value, reader.object, what);
  return {
    names: subjectAltName ? parseGeneralNames(open(subjectAltName, 'the subjectAltName extension')) : [],
    ...(subjectAltName && { subjectAltName }),
    hasBasicConstraints: basicConstraints !== undefined,
    isCa: basicConstraints !== undefined && parseBasicConstraints(open(basicConstraints, 'basicConstraints')),
    keyUsages: keyUsage ? parseKeyUsage(new DerReader(keyUsage.value, reader.object)) : [],
    extendedKeyUsages: extendedKeyUsage ? parseExtendedKeyUsage(open(extendedKeyUsage, 'extendedKeyUsage')) : [],
    hasCtPoison: byOid.has(OID.ctPoison),
  };
}

function parseBasicConstraints(reader: DerReader): boolean {
  const isCa = reader.nextTag === TAG.boolean && reader.readBoolean("basicConstraints' cA");
  if (!reader.isEmpty) reader.readSmallInteger("basicConstraints' pathLenConstraint");
  reader.end("basicConstraints' pathLenConstraint");
  return isCa;
}

function parseKeyUsage(reader: DerReader): KeyUsage[] {
  const { bytes } = reader.readBitString('keyUsage');
  reader.end('keyUsage');
  return keyUsageNames(bytes);
}

function parseExtendedKeyUsage(reader: DerReader): string[] {
  const usages: string[] = [];
  while (!reader.isEmpty) usages.push(extendedKeyUsageName(reader.readOid('an extendedKeyUsage')));
  return usages;
}
