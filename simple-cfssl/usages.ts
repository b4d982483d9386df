/** CFSSL's words for key usages and extended key usages (cloudflare/cfssl v1.7.1, config/config.go). */
import { KeyUsageFlags } from './x509-library.ts';

const KEY_USAGES: ReadonlyMap<string, KeyUsageFlags> = new Map([
  ['signing', KeyUsageFlags.digitalSignature],
  ['digital signature', KeyUsageFlags.digitalSignature],
  ['content commitment', KeyUsageFlags.nonRepudiation],
  ['key encipherment', KeyUsageFlags.keyEncipherment],
  ['key agreement', KeyUsageFlags.keyAgreement],
  ['data encipherment', KeyUsageFlags.dataEncipherment],
  ['cert sign', KeyUsageFlags.keyCertSign],
  ['crl sign', KeyUsageFlags.cRLSign],
  ['encipher only', KeyUsageFlags.encipherOnly],
  ['decipher only', KeyUsageFlags.decipherOnly],
]);

const EXTENDED_KEY_USAGES: ReadonlyMap<string, string> = new Map([
  ['any', '2.5.29.37.0'],
  ['server auth', '1.3.6.1.5.5.7.3.1'],
  ['client auth', '1.3.6.1.5.5.7.3.2'],
  ['code signing', '1.3.6.1.5.5.7.3.3'],
  ['email protection', '1.3.6.1.5.5.7.3.4'],
  ['s/mime', '1.3.6.1.5.5.7.3.4'],
  ['ipsec end system', '1.3.6.1.5.5.7.3.5'],
  ['ipsec tunnel', '1.3.6.1.5.5.7.3.6'],
  ['ipsec user', '1.3.6.1.5.5.7.3.7'],
  ['timestamping', '1.3.6.1.5.5.7.3.8'],
  ['ocsp signing', '1.3.6.1.5.5.7.3.9'],
  ['microsoft sgc', '1.3.6.1.4.1.311.10.3.3'],
  ['netscape sgc', '2.16.840.1.113730.4.1'],
]);

export interface Usages {
  /** Undefined for none. */
  readonly keyUsages: KeyUsageFlags | undefined;
  /** OIDs in the order of the words. */
  readonly extended: readonly string[];
}

export function isUsage(word: string): boolean {
  return KEY_USAGES.has(word) || EXTENDED_KEY_USAGES.has(word);
}

/** Unknown words are dropped, as CFSSL does. */
export function resolveUsages(words: readonly string[]): Usages {
  const flags = words.flatMap((word) => KEY_USAGES.get(word) ?? []);
  return {
    keyUsages: flags.length > 0 ? flags.reduce((sum, flag) => sum | flag) : undefined,
    extended: words.flatMap((word) => EXTENDED_KEY_USAGES.get(word) ?? []),
  };
}
