/** Go's `pem.Decode`: the first block that can be read, whatever stands around it. */
import { decodeBase64 } from './base64.ts';

export interface PemBlock {
  readonly type: string;
  readonly bytes: Buffer;
}

/** The last BEGIN before an END of the same type; headers are `Key: value` lines in front of the base64. */
const BLOCK =
  /(?<=^|\n)-----BEGIN ([^\n]*)-----[ \t]*\r?\n((?:[^:\n]*:[^\n]*\n)*)((?:(?!-----BEGIN )[^])*?)(?<=\n)-----END \1-----[ \t]*(?=\r?\n|$)/g;

export function decodePem(text: string): PemBlock | undefined {
  for (const [, type = '', , base64 = ''] of text.matchAll(BLOCK)) {
    try {
      return { type, bytes: decodeBase64(base64.replaceAll(/[ \t]/g, '')) };
    } catch {
      // Not base64, so no block: Go goes on to the next one too
    }
  }
  return undefined;
}
