// The licence texts that have to go along with a bundle, as a comment for its end.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Something whose licence asks to be handed on. */
export interface Licensed {
  /** Where its licence lies. */
  readonly folder: string;
  readonly name: string;
  readonly version: string;
  readonly licence: string;
}

const NOTICE = /^(?:licen[cs]e|copying|notice|copyrightnotice)(?:\.(?:txt|md))?$/i;

/**
 * One JavaScript comment with every text once and, above it, what it is for.
 * @throws Error when a folder holds no licence
 */
export function noticesComment(all: readonly Licensed[]): string {
  const byText = new Map<string, string[]>();
  for (const { folder, name, version, licence } of all) {
    const files = readdirSync(folder).filter((file) => NOTICE.test(file));
    if (files.length === 0)
      throw new Error(`Cannot hand on the licence of ${name}: there is no file of it in ${folder}`);
    const texts = files.sort().map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r', '').trim());
    const text = texts.join('\n\n').replaceAll('*/', '* /');
    byText.set(text, [...(byText.get(text) ?? []), `${name} ${version} (${licence})`]);
  }
  const parts = [...byText].map(([text, names]) => `==== ${names.join(', ')}\n\n${text}\n`);
  return `/*\nThis file holds the following, under these licences.\n\n${parts.join('\n')}*/\n`;
}
