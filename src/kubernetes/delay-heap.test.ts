import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { DelayHeap } from './delay-heap.ts';
import { Fifo } from './fifo.ts';

describe('DelayHeap', () => {
  test('any additions come out in the order they are due, each key once, at its earliest time', () => {
    const addition = fc.record({
      key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'),
      dueMs: fc.nat(100),
      takeAtMs: fc.option(fc.nat(100)),
    });
    fc.assert(
      fc.property(fc.array(addition, { maxLength: 60 }), (additions) => {
        const heap = new DelayHeap();
        const model = new Map<string, number>();
        const takeOne = (nowMs: number): void => {
          const earliestMs = Math.min(...model.values());
          const key = heap.take(nowMs);
          if (earliestMs > nowMs) {
            assert.equal(key, undefined);
            return;
          }
          assert.equal(model.get(key ?? ''), earliestMs);
          model.delete(key ?? '');
        };
        for (const { key, dueMs, takeAtMs } of additions) {
          heap.add(key, dueMs);
          model.set(key, Math.min(dueMs, model.get(key) ?? dueMs));
          assert.equal(heap.nextDueMs, Math.min(...model.values()));
          if (takeAtMs !== null) takeOne(takeAtMs);
          assert.equal(heap.size, model.size);
        }
        while (model.size > 0) takeOne(100);
        assert.equal(heap.nextDueMs, undefined);
      }),
    );
  });
});

describe('Fifo', () => {
  test('any sequence of push() and shift() is an array’s', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat())), (steps) => {
        const fifo = new Fifo<number>();
        const model: number[] = [];
        for (const step of steps) {
          if (step === null) assert.equal(fifo.shift(), model.shift());
          else {
            fifo.push(step);
            model.push(step);
          }
          assert.equal(fifo.length, model.length);
        }
      }),
    );
  });
});
