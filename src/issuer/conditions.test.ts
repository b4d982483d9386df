import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Condition } from '../api/index.ts';
import { buildCondition, findCondition, isSameCondition, isTrue } from './conditions.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const NOW = '2026-01-02T00:00:00Z';
const BEFORE = '2026-01-01T00:00:00Z';

const readyNow: Condition = { type: 'Ready', status: 'True', reason: 'Issued', message: 'Done' };
const approved: Condition = { type: 'Approved', status: 'True' };

describe('findCondition()', () => {
  test('finds by type', () => {
    assert.equal(findCondition([approved, readyNow], 'Ready'), readyNow);
  });

  test('finds nothing where there is none', () => {
    assert.equal(findCondition([approved], 'Ready'), undefined);
    assert.equal(findCondition([], 'Ready'), undefined);
    assert.equal(findCondition(undefined, 'Ready'), undefined);
  });
});

describe('isTrue()', () => {
  for (const [status, expected] of [
    ['True', true],
    ['False', false],
    ['Unknown', false],
  ] as const) {
    test(`status ${status}: ${expected}`, () => {
      assert.equal(isTrue([{ type: 'Denied', status }], 'Denied'), expected);
    });
  }

  test('missing: false', () => {
    assert.equal(isTrue([approved], 'Denied'), false);
    assert.equal(isTrue(undefined, 'Denied'), false);
  });
});

describe('buildCondition()', () => {
  const cases: readonly [name: string, present: readonly Condition[] | undefined, lastTransitionTime: string][] = [
    ['the first stands from now on', undefined, NOW],
    ['so does the first of its type', [{ ...approved, lastTransitionTime: BEFORE }], NOW],
    ['another status stands from now on', [{ ...readyNow, status: 'False', lastTransitionTime: BEFORE }], NOW],
    ['the same status stands since then', [{ ...readyNow, lastTransitionTime: BEFORE }], BEFORE],
    [
      'another reason and message change nothing of that',
      [{ ...readyNow, reason: 'Pending', message: 'Wait', lastTransitionTime: BEFORE }],
      BEFORE,
    ],
    ['one that tells no time stands from now on', [readyNow], NOW],
  ];
  for (const [name, present, lastTransitionTime] of cases) {
    test(name, () => {
      assert.deepEqual(buildCondition(present, readyNow, NOW_MS), { ...readyNow, lastTransitionTime });
    });
  }

  test('keeps the generation that was looked at', () => {
    const next = { type: 'Ready', status: 'True', observedGeneration: 3 } as const;
    assert.deepEqual(buildCondition(undefined, next, NOW_MS), { ...next, lastTransitionTime: NOW });
  });

  test("cuts a message to the API server's limit", () => {
    const { message } = buildCondition(undefined, { ...readyNow, message: 'x'.repeat(40_000) }, NOW_MS);
    assert.ok(message === 'x'.repeat(32_768));
  });
});

describe('isSameCondition()', () => {
  const full: Condition = { ...readyNow, observedGeneration: 1, lastTransitionTime: BEFORE };
  const others: readonly (readonly [name: string, other: Condition | undefined])[] = [
    ['type', { ...full, type: 'Approved' }],
    ['status', { ...full, status: 'False' }],
    ['reason', { ...full, reason: 'Pending' }],
    ['message', { ...full, message: 'Wait' }],
    ['observedGeneration', { ...full, observedGeneration: 2 }],
    ['being there', undefined],
  ];
  for (const [name, other] of others) {
    test(`differs by ${name}`, () => {
      assert.equal(isSameCondition(other, full), false);
    });
  }

  test('does not differ by the time of the transition', () => {
    assert.equal(isSameCondition({ ...full, lastTransitionTime: NOW }, full), true);
  });
});
