/** Go's `base64.StdEncoding`: padding is demanded, CR and LF are skipped, and errors name the byte (encoding/base64). */

const ALPHABET = /[A-Za-z0-9+/]/;

/** @throws Error with Go's text */
export function decodeBase64(text: string): Buffer {
  const flaw = findFlaw(Buffer.from(text).toString('latin1'));
  if (flaw !== undefined) throw new Error(`illegal base64 data at input byte ${flaw}`);
  return Buffer.from(text, 'base64');
}

/** The byte that Go complains about. It is what `Encoding.decodeQuantum` says, its oddities with newlines included. */
function findFlaw(source: string): number | undefined {
  let at = 0;
  const skipNewlines = (): void => {
    while (source[at] === '\n' || source[at] === '\r') at += 1;
  };
  while (at < source.length) {
    for (let digit = 0; digit < 4; digit++) {
      const character = source[at];
      if (character === undefined) return digit === 0 ? undefined : at - digit;
      at += 1;
      if (ALPHABET.test(character)) continue;
      if (character === '\n' || character === '\r') {
        digit -= 1;
        continue;
      }
      if (character !== '=' || digit < 2) return at - 1;
      skipNewlines();
      if (digit === 2) {
        if (at === source.length) return at;
        if (source[at] !== '=') return at - 1;
        at += 1;
        skipNewlines();
      }
      return at < source.length ? at : undefined;
    }
  }
  return undefined;
}
