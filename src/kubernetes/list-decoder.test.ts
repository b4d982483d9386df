import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { ListDecoder, type ListEnvelope } from './list-decoder.ts';

function decode(chunks: readonly Buffer[], maxBytes = 1 << 20): { items: unknown[]; envelope: ListEnvelope } {
  const items: unknown[] = [];
  const decoder = new ListDecoder({ doing: 'list widgets', maxBytes }, (json) => items.push(JSON.parse(json)));
  for (const chunk of chunks) decoder.push(chunk);
  return { items, envelope: decoder.end() };
}

function split(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let start = 0;
  for (const size of sizes) {
    chunks.push(bytes.subarray(start, start + size));
    start += size;
  }
  chunks.push(bytes.subarray(start));
  return chunks;
}

const code = (expected: string) => (error: unknown) => (error as { code: string }).code === expected;

describe('ListDecoder', () => {
  test('any list of any objects, however it is cut, decodes as JSON.parse would', () => {
    const item = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }));
    const list = fc.record({
      items: fc.array(item, { maxLength: 4 }),
      metadata: fc.record({ resourceVersion: fc.string(), extra: fc.array(fc.string()) }),
      isMetadataFirst: fc.boolean(),
      indent: fc.constantFrom(undefined, 1),
      sizes: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 60 }),
    });
    fc.assert(
      fc.property(list, ({ items, metadata, isMetadataFirst, indent, sizes }) => {
        const whole = isMetadataFirst
          ? { kind: 'L', metadata, items }
          : { apiVersion: 'v1', items, kind: 'L', metadata };
        const json = Buffer.from(JSON.stringify(whole, undefined, indent));
        const parsed = JSON.parse(json.toString()) as typeof whole; // Not `whole`: JSON knows no -0.
        const decoded = decode(split(json, sizes));
        assert.deepEqual(decoded.items, parsed.items);
        assert.deepEqual(decoded.envelope, { ...parsed, items: [] });
      }),
    );
  });

  test('escapes are seen across every cut', () => {
    const list = { items: [{ a: '\\"\\\\', 'b"]}': '\\' }, { c: '"\\"' }], note: '\\"\\' };
    const json = Buffer.from(JSON.stringify(list));
    for (let cut = 1; cut < json.length; cut++) {
      for (const sizes of [[cut], Array.from({ length: cut }, () => 1)]) {
        const { items, envelope } = decode(split(json, sizes));
        assert.deepEqual({ ...envelope, items }, list, `cut at ${cut}`);
      }
    }
  });

  test('another array beside the items is part of the envelope', () => {
    const list = { before: [{ a: 1 }, [2]], items: [{ b: 1 }], after: [3] };
    const { items, envelope } = decode([Buffer.from(JSON.stringify(list))]);
    assert.deepEqual({ ...envelope, items }, list);
  });

  test('an empty list in Go’s form has no items', () => {
    const { items, envelope } = decode([Buffer.from('{"metadata":{"resourceVersion":"7"},"items":null}\n')]);
    assert.deepEqual(items, []);
    assert.equal(envelope.metadata?.resourceVersion, '7');
  });

  test('"items" inside an item, or as a text, is not the list', () => {
    const list = { items: [{ items: [{ a: 1 }], text: '"items":[{' }], note: '"items":[' };
    assert.deepEqual(decode([Buffer.from(JSON.stringify(list))]).items, list.items);
  });

  test('a list that ends too early is malformed, wherever it is cut', () => {
    const json = Buffer.from('{"items":[{"a":"é"},{"b":[1]}],"metadata":{"resourceVersion":"1"}}');
    for (let length = 0; length < json.length; length++) {
      assert.throws(() => decode([json.subarray(0, length)]), code('KUBERNETES_MALFORMED'), `cut at ${length}`);
    }
  });

  test('items that are not objects are malformed', () => {
    for (const items of ['[1]', '["a"]', '[null]']) {
      assert.throws(() => decode([Buffer.from(`{"items":${items}}`)]), code('KUBERNETES_MALFORMED'), items);
    }
  });

  test('an item, or an envelope, over the limit is refused before it is complete', () => {
    assert.throws(() => decode([Buffer.from(`{"items":[{"a":"${'x'.repeat(100)}`)], 64), code('KUBERNETES_TOO_LARGE'));
    assert.throws(() => decode([Buffer.from(`{"a":"${'x'.repeat(100)}`)], 64), code('KUBERNETES_TOO_LARGE'));
    const many = `{"items":[${Array.from({ length: 100 }, () => '{"a":1}').join(',')}]}`;
    assert.equal(decode([Buffer.from(many)], 64).items.length, 100);
  });
});
