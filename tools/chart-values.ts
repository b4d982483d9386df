/**
 * A chart's README table and `values.schema.json`, from its `values.yaml`. The comment above a value is its description;
 * a value with a comment is one line of the table, a map without one is a section whose keys are known and no others. The
 * top level takes other keys too, because one values file often serves many charts.
 * `## @section TITLE` begins a table, `# @schema {…}` is put over what the default value says of the type.
 */
import { isMap, type Pair, parse, parseDocument, type Scalar, type YAMLMap } from 'yaml';

type Schema = Readonly<Record<string, unknown>>;

/** One documented value. */
interface Row {
  readonly path: string;
  readonly description: string;
  readonly value: unknown;
}

interface Section {
  readonly title: string;
  readonly rows: Row[];
}

export interface ChartValues {
  readonly schema: string;
  /** Markdown: a table for each section. */
  readonly tables: string;
}

const SECTION = '# @section ';
const SCHEMA = ' @schema ';

/** @throws Error for a value without a description */
export function describeValues(valuesYaml: string): ChartValues {
  const { contents } = parseDocument(valuesYaml);
  if (!isMap(contents)) throw new Error('Cannot describe values: the file is not a map');
  const sections: Section[] = [];
  const properties = readMap(contents as YAMLMap<Scalar<string>>, '', sections);
  const schema = { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object', properties };
  return { schema: formatJson(schema), tables: sections.map(formatSection).join('\n\n') };
}

/** Schemas of the keys; adds their rows to the last section. */
function readMap(map: YAMLMap<Scalar<string>>, prefix: string, sections: Section[]): Schema {
  const properties: Record<string, Schema> = {};
  for (const [index, pair] of map.items.entries()) {
    const path = prefix === '' ? pair.key.value : `${prefix}.${pair.key.value}`;
    const lines = commentOf(map, index).split('\n');
    for (const line of lines.filter((one) => one.startsWith(SECTION))) {
      sections.push({ title: line.slice(SECTION.length), rows: [] });
    }
    const description = lines
      .filter((line) => line.startsWith(' ') && !line.startsWith(SCHEMA))
      .map((line) => line.trim())
      .join(' ');
    const child: unknown = pair.value;
    if (description === '' && isMap(child)) {
      const inner = readMap(child as YAMLMap<Scalar<string>>, path, sections);
      properties[pair.key.value] = { type: 'object', additionalProperties: false, properties: inner };
      continue;
    }
    if (description === '') throw new Error(`Cannot describe values: ${path} has no comment`);
    const value = valueOf(pair);
    const override = lines.filter((line) => line.startsWith(SCHEMA)).map((line) => line.slice(SCHEMA.length));
    properties[pair.key.value] = { description, ...typeOf(value), ...(parse(override.join(' ')) as Schema | null) };
    if (sections.length === 0) sections.push({ title: '', rows: [] });
    sections.at(-1)?.rows.push({ path, description, value });
  }
  return properties;
}

/** The comment above a key; above the first, the parser gives it to the map. */
function commentOf(map: YAMLMap<Scalar<string>>, index: number): string {
  const before = map.items[index]?.key.commentBefore ?? '';
  return index === 0 ? `${map.commentBefore ?? ''}\n${before}` : before;
}

function valueOf({ value }: Pair<Scalar<string>>): unknown {
  return (value as { toJSON(): unknown } | null)?.toJSON();
}

function typeOf(value: unknown): Schema {
  if (Array.isArray(value)) return { type: 'array' };
  return { type: typeof value === 'number' ? 'integer' : typeof value };
}

function formatSection({ title, rows }: Section): string {
  const heading = title === '' ? '' : `### ${title}\n\n`;
  const lines = rows.map(({ path, description, value }) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return `| \`${path}\` | ${escape(description)} | ${text === '' ? '' : `\`${escape(text)}\``} |`;
  });
  return `${heading}| value | meaning | default |\n|---|---|---|\n${lines.join('\n')}`;
}

function escape(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** As the formatter of the repository writes it: an array of scalars on one line if it fits. */
function formatJson(value: unknown): string {
  const text = JSON.stringify(value, undefined, 2);
  const short = text.replaceAll(/\[\n\s+([^[\]{}]*?)\n\s+\]/g, (whole, items: string, offset: number) => {
    const line = `[${items.replaceAll(/\n\s+/g, ' ')}]`;
    const indent = offset - text.lastIndexOf('\n', offset);
    return indent + line.length <= 120 ? line : whole;
  });
  return `${short}\n`;
}
