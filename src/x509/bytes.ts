/** Views and texts of bytes, without a copy. */

export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  return toBuffer(bytes).toString('hex');
}

/** One character a byte. */
export function toLatin1(bytes: Uint8Array): string {
  return toBuffer(bytes).toString('latin1');
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
