/** The one error of this room. Its message may be shown to users: foreign text in it is printable, quoted and cut. */

export type X509ErrorCode =
  /** The text is not the PEM that was expected: no block, too many, another label, bad base64. */
  | 'X509_PEM'
  /** The bytes are not DER. */
  | 'X509_DER'
  /** DER, but not what the standard allows in this place: a version, a duplicate, a name. */
  | 'X509_CONTENT'
  /** Larger, deeper or more than we read. */
  | 'X509_LIMIT'
  /** A signature does not verify. */
  | 'X509_SIGNATURE'
  /** A key or an algorithm that we do not verify. */
  | 'X509_UNSUPPORTED'
  /** The certificates do not form one chain. */
  | 'X509_CHAIN';

/** What was being read: a bad CSR is the requester's affair, a bad certificate the CA's. */
export type X509Object = 'CSR' | 'certificate' | 'chain';

export class X509Error extends Error {
  override readonly name = 'X509Error';
  readonly code: X509ErrorCode;
  readonly details: { readonly object: X509Object };

  constructor(code: X509ErrorCode, object: X509Object, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = { object };
  }
}

/** `text` as it may stand in a message: invisible characters escaped, cut to `maxLength`. */
export function printable(text: string, maxLength = 100): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
  return cut.replaceAll(/\p{C}|(?! )\p{Z}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
