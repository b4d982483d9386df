import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { systemClock } from '../platform/index.ts';
import { inTurns, readBody, readLines } from './body.ts';

const code = (expected: string) => (error: unknown) => (error as { code: string }).code === expected;

async function linesOf(chunks: readonly Buffer[], maxBytes = 1 << 20): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of readLines(Readable.from(chunks), { doing: 'watch', maxBytes })) lines.push(line);
  return lines;
}

describe('readLines', () => {
  test('any lines, however they are cut, arrive whole: a character in two parts is never torn', async () => {
    const line = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => !text.includes('\n'));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 7 }), async (lines, size) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
          bytes.subarray(i * size, (i + 1) * size),
        );
        const expected = lines.map((text) => Buffer.from(text).toString());
        assert.deepEqual(await linesOf(chunks), expected);
      }),
    );
  });

  test('empty lines, and a last line without its end, are left out', async () => {
    assert.deepEqual(await linesOf([Buffer.from('a\n\n\nb\nunfinished')]), ['a', 'b']);
  });

  test('a line over the limit is refused, in one chunk and in many', async () => {
    assert.deepEqual(await linesOf([Buffer.from('1234\n')], 4), ['1234']);
    await assert.rejects(linesOf([Buffer.from('12345\n')], 4), code('KUBERNETES_TOO_LARGE'));
    await assert.rejects(linesOf([Buffer.from('123'), Buffer.from('45')], 4), code('KUBERNETES_TOO_LARGE'));
  });
});

describe('readBody', () => {
  test('a body over the limit is refused and its stream destroyed', async () => {
    const body = Readable.from([Buffer.from('12'), Buffer.from('345')]);
    await assert.rejects(readBody(body, { doing: 'get', maxBytes: 4 }), code('KUBERNETES_TOO_LARGE'));
    assert.equal(body.destroyed, true);
    assert.equal(await readBody(Readable.from([Buffer.from('1234')]), { doing: 'get', maxBytes: 4 }), '1234');
  });
});

describe('inTurns()', () => {
  test('lets the event loop come round after 8 ms of work, and not before', async () => {
    let nowMs = 0;
    let turns = 0;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const pieces = Readable.from(Array.from({ length: 5 }, () => Buffer.from('x')));
    const seen: number[] = [];
    for await (const _ of inTurns(pieces, clock)) {
      if (seen.length === 0) setImmediate(() => turns++);
      if (seen.length === 2) setImmediate(() => turns++);
      seen.push(turns);
      nowMs += 4;
    }
    assert.deepEqual(seen, [0, 0, 1, 1, 2]);
  });
});
