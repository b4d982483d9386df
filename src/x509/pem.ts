/**
 * PEM in and out (RFC 7468). Stricter than Go's `encoding/pem`, so that both see the same block: boundaries stand on
 * their own lines, base64 is canonical, there are no headers, and no other text contains a boundary's dashes.
 */
import { toBuffer } from './bytes.ts';
import { printable, X509Error, type X509ErrorCode, type X509Object } from './errors.ts';

const DASHES = '-----';
const BEGIN = '-----BEGIN ';

export interface PemOptions {
  readonly object: X509Object;
  readonly labels: readonly string[];
  readonly maxBlocks: number;
  /** Limit of one block's DER. */
  readonly maxBytes: number;
}

/** The DER of every block in `text`; text around the blocks is allowed, other labels are not. */
export function parsePem(text: string, options: PemOptions): Uint8Array[] {
  const ders: Uint8Array[] = [];
  let offset = 0;
  for (let begin = text.indexOf(DASHES); begin !== -1; begin = text.indexOf(DASHES, offset)) {
    if (!text.startsWith(BEGIN, begin) || (begin > 0 && text[begin - 1] !== '\n')) {
      throw pemError(options, 'X509_PEM', 'there are dashes outside of a PEM block');
    }
    if (ders.length === options.maxBlocks) {
      const blocks = options.maxBlocks === 1 ? 'one PEM block' : `${options.maxBlocks} PEM blocks`;
      throw pemError(options, 'X509_LIMIT', `it has more than ${blocks}`);
    }
    const labelStart = begin + BEGIN.length;
    const labelEnd = text.indexOf(DASHES, labelStart);
    const label = text.slice(labelStart, Math.max(labelEnd, labelStart));
    if (!options.labels.includes(label)) {
      throw pemError(options, 'X509_PEM', `there is a PEM block "${printable(label, 40)}", not "${options.labels[0]}"`);
    }
    const endLine = `-----END ${label}-----`;
    const end = text.indexOf(DASHES, labelEnd + DASHES.length);
    if (!text.startsWith(endLine, end)) throw pemError(options, 'X509_PEM', 'a PEM block has no END line');
    ders.push(decodeBody(text.slice(labelEnd + DASHES.length, end), options));
    offset = end + endLine.length;
  }
  if (ders.length === 0) throw pemError(options, 'X509_PEM', 'there is no PEM block');
  return ders;
}

function decodeBody(body: string, options: PemOptions): Uint8Array {
  if (body.length > options.maxBytes * 2) throw pemError(options, 'X509_LIMIT', 'a PEM block is too large');
  const base64 = body.replaceAll(/[ \t\r\n]/g, '');
  const bytes = Buffer.from(base64, 'base64');
  const isFramed = /^[ \t\r]*\n/.test(body) && body.endsWith('\n');
  if (!isFramed || bytes.length === 0 || bytes.toString('base64') !== base64) {
    throw pemError(options, 'X509_PEM', 'a PEM block is no base64');
  }
  if (bytes.length > options.maxBytes) throw pemError(options, 'X509_LIMIT', 'a PEM block is too large');
  // A plain Uint8Array, since every slice of a Buffer costs more
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** One PEM block with a final newline. */
export function encodePem(label: 'CERTIFICATE' | 'CERTIFICATE REQUEST', der: Uint8Array): string {
  const base64 = toBuffer(der).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `${BEGIN}${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function pemError(options: PemOptions, code: X509ErrorCode, state: string): X509Error {
  return new X509Error(code, options.object, `Cannot parse ${options.object}: ${state}`);
}
