import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { describeValues } from './chart-values.ts';

const schemaOf = (yaml: string): Record<string, unknown> =>
  (JSON.parse(describeValues(yaml).schema) as { properties: Record<string, unknown> }).properties;

describe('describeValues()', () => {
  test('types come from the defaults, and @schema is put over them', () => {
    const yaml = `
## For whom edits this.

# How many.
# @schema {minimum: 1}
count: 2
# A name,
# or none.
name: ""
# Several.
list: []
# Any of two.
# @schema {type: [integer, string]}
either: 1
`;
    assert.deepEqual(schemaOf(yaml), {
      count: { description: 'How many.', type: 'integer', minimum: 1 },
      name: { description: 'A name, or none.', type: 'string' },
      list: { description: 'Several.', type: 'array' },
      either: { description: 'Any of two.', type: ['integer', 'string'] },
    });
  });

  test('a map without a comment is closed and its keys are documented; one with a comment is free', () => {
    const yaml = `
image:
  # First key.
  tag: ""
  inner:
    # Deep.
    flag: true
# Free.
resources:
  limits: {}
`;
    const closed = { type: 'object', additionalProperties: false };
    const flag = { description: 'Deep.', type: 'boolean' };
    assert.deepEqual(schemaOf(yaml), {
      image: {
        ...closed,
        properties: {
          tag: { description: 'First key.', type: 'string' },
          inner: { ...closed, properties: { flag } },
        },
      },
      resources: { description: 'Free.', type: 'object' },
    });
  });

  test('each section is a table, with a line for each value', () => {
    const yaml = `
## @section One

# A | B.
a: x

## @section Two
# Map.
b: {c: 1}
`;
    assert.equal(
      describeValues(yaml).tables,
      `### One

| value | meaning | default |
|---|---|---|
| \`a\` | A \\| B. | \`x\` |

### Two

| value | meaning | default |
|---|---|---|
| \`b\` | Map. | \`{"c":1}\` |`,
    );
  });

  test('a value that nobody described is an error', () => {
    assert.throws(() => describeValues('a: 1\n'), /a has no comment/);
    assert.throws(() => describeValues('a:\n  b: 1\n'), /a\.b has no comment/);
    assert.throws(() => describeValues('- 1\n'), /not a map/);
  });
});
