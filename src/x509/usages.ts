/** Key usages and extended key usages in cert-manager's words (`pkg/apis/certmanager/v1/types.go`). */

/** By bit of the KeyUsage extension (RFC 5280, 4.2.1.3). */
const KEY_USAGES = [
  'digital signature',
  'content commitment',
  'key encipherment',
  'data encipherment',
  'key agreement',
  'cert sign',
  'crl sign',
  'encipher only',
  'decipher only',
] as const;

export type KeyUsage = (typeof KEY_USAGES)[number];

const EXTENDED_KEY_USAGES: Readonly<Record<string, string>> = {
  '2.5.29.37.0': 'any',
  '1.3.6.1.5.5.7.3.1': 'server auth',
  '1.3.6.1.5.5.7.3.2': 'client auth',
  '1.3.6.1.5.5.7.3.3': 'code signing',
  '1.3.6.1.5.5.7.3.4': 'email protection',
  '1.3.6.1.5.5.7.3.5': 'ipsec end system',
  '1.3.6.1.5.5.7.3.6': 'ipsec tunnel',
  '1.3.6.1.5.5.7.3.7': 'ipsec user',
  '1.3.6.1.5.5.7.3.8': 'timestamping',
  '1.3.6.1.5.5.7.3.9': 'ocsp signing',
  '1.3.6.1.4.1.311.10.3.3': 'microsoft sgc',
  '2.16.840.1.113730.4.1': 'netscape sgc',
};

const ALIASES: Readonly<Record<string, string>> = { signing: 'digital signature', 's/mime': 'email protection' };

/** The usages whose bits are set. */
export function keyUsageNames(bits: Uint8Array): KeyUsage[] {
  return KEY_USAGES.filter((_, bit) => ((bits[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

/** cert-manager's word, or the OID where it has none. */
export function extendedKeyUsageName(oid: string): string {
  return EXTENDED_KEY_USAGES[oid] ?? oid;
}

/** The one word for a usage that cert-manager knows under two. */
export function usageKey(usage: string): string {
  return ALIASES[usage] ?? usage;
}
