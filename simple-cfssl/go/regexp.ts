/**
 * Go's regular expressions (RE2) as JavaScript's. The common syntax is one; what is written in another way is translated,
 * and what JavaScript has not is refused. It takes back-references and look-around, which Go would not load.
 */

const POSIX_CLASSES: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  ascii: String.raw`\x00-\x7f`,
  blank: String.raw`\t `,
  digit: '0-9',
  lower: 'a-z',
  punct: String.raw`!-\/:-@\[-` + '`{-~',
  space: String.raw`\t\n\v\f\r `,
  upper: 'A-Z',
  word: String.raw`\w`,
  xdigit: '0-9A-Fa-f',
};

/** @throws Error when it is no regular expression, or one that JavaScript cannot express */
export function compileRegexp(pattern: string): RegExp {
  const [, leading = '', rest = ''] = /^(?:\(\?([ims]+)\))?([^]*)$/.exec(pattern) ?? [];
  const source = rest.replaceAll(
    /\\([^])|\(\?P<|\[:(\w+):\]/g,
    (whole: string, escaped: string | undefined, posix: string | undefined) => {
      if (posix !== undefined) return POSIX_CLASSES[posix] ?? refuse(`the class ${whole}`);
      if (escaped === undefined) return '(?<';
      if (escaped === 'A') return '(?<![^])';
      if (escaped === 'z') return '(?![^])';
      return 'aCQEpP'.includes(escaped) ? refuse(whole) : whole;
    },
  );
  return new RegExp(source, leading);
}

function refuse(what: string): never {
  throw new Error(`${what} is not supported`);
}
