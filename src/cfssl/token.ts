/**
 * The shared key and the token made with it: HMAC-SHA256 over the exact bytes of the request, followed by the
 * additional data (cloudflare/cfssl ed8df497, auth/auth.go).
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto';

import { CfsslError } from './errors.ts';

/** A key that cannot be printed: neither inspection nor JSON shows its bytes. */
export class AuthKey {
  readonly #key: KeyObject;

  constructor(bytes: Uint8Array) {
    this.#key = createSecretKey(bytes);
  }

  /** HMAC-SHA256 over the concatenation of the parts. */
  mac(...parts: readonly Uint8Array[]): Buffer {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  }
}

/**
 * Reads a key as the Secret holds it: hexadecimal, surrounding whitespace ignored. `env:` and `file:`, which CFSSL
 * resolves in its own files, are refused: whoever may write a Secret must not make us read our environment or disk.
 * No message quotes any part of the key.
 *
 * @throws CfsslError `CFSSL_INVALID_KEY`
 */
export function parseAuthKey(text: string): AuthKey {
  const hex = text.trim();
  const flaw = findFlaw(hex);
  if (flaw !== undefined) {
    throw new CfsslError('CFSSL_INVALID_KEY', { action: 'Cannot use authentication key', reason: flaw });
  }
  return new AuthKey(Buffer.from(hex, 'hex'));
}

function findFlaw(hex: string): string | undefined {
  if (hex === '') return 'it is empty';
  if (/^(?:env|file):/i.test(hex)) return 'references with env: or file: are not followed, it must be the key itself';
  if (!/^[0-9a-f]*$/i.test(hex)) return 'it holds something else than hexadecimal digits';
  if (hex.length % 2 === 1) return 'it has an odd number of hexadecimal digits';
  return undefined;
}

const NO_DATA = new Uint8Array();

/** The token for a request, in base64. `request` must be the very bytes that are sent. */
export function createToken(key: AuthKey, request: Uint8Array, additionalData: Uint8Array = NO_DATA): string {
  return key.mac(request, additionalData).toString('base64');
}
