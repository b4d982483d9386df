/** The syntax of multirootca's roots file (cloudflare/cfssl v1.7.1, multiroot/config/config.go), by its own patterns. */
import { ConfigurationError } from './configuration-error.ts';

const SECTION = /^\s*\[\s*(\w+)\s*\]\s*$/;
const QUOTED = /^\s*(\w+)\s*=\s*["'](.*)["']\s*$/;
const PLAIN = /^\s*(\w+)\s*=\s*(.*)$/;

/** Keys before the first section belong to this one. */
const DEFAULT_SECTION = 'default';

/** Settings by section. @throws ConfigurationError */
export function parseRootsFile(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  const open = (label: string): Map<string, string> => {
    const settings = sections.get(label) ?? new Map<string, string>();
    sections.set(label, settings);
    return settings;
  };
  let current: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#') || line.trim() === '') continue;
    const section = SECTION.exec(line)?.[1];
    if (section !== undefined) {
      current = open(section);
      continue;
    }
    const [, key, value = ''] = QUOTED.exec(line) ?? PLAIN.exec(line) ?? [];
    if (key === undefined) throw new ConfigurationError(`invalid config file: "${line}"`);
    current ??= open(DEFAULT_SECTION);
    current.set(key, value);
  }
  return sections;
}
