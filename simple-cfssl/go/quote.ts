/** Characters and strings as Go quotes them (`strconv.Quote`, `strconv.QuoteRune`): its error texts are full of them. */

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '\x07': String.raw`\a`,
  '\b': String.raw`\b`,
  '\f': String.raw`\f`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
  '\v': String.raw`\v`,
  '\\': String.raw`\\`,
};

/** Go's `unicode.IsPrint`. */
export function isPrintable(character: string): boolean {
  return /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(character);
}

export function quoteRune(character: string): string {
  return `'${escapeCharacter(character, "'")}'`;
}

export function quote(text: string): string {
  return `"${Array.from(text, (character) => escapeCharacter(character, '"')).join('')}"`;
}

function escapeCharacter(character: string, delimiter: string): string {
  if (character === delimiter) return `\\${delimiter}`;
  const short = SHORT_ESCAPES[character];
  if (short !== undefined) return short;
  if (isPrintable(character)) return character;
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  if (code < 0x20 || code === 0x7f) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x1_0000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}
