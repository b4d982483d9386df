import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { issuer, ready } from '../../test/support/builders.ts';
import type { Condition, IssuerStatus } from '../api/index.ts';
import { IssuerProblem } from './issuer-problem.ts';
import { buildIssuerStatus, type IssuerStatusChange, saysTheSame } from './issuer-status.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const NOW = '2026-01-02T00:00:00Z';
const BEFORE = '2026-01-01T00:00:00Z';

const details: Omit<IssuerStatus, 'conditions'> = {
  endpoints: [{ url: 'https://ca.example', reachable: true }],
  ca: { subject: 'CN=CA', sha256: 'ab', notAfter: '2027-01-01T00:00:00Z' },
  keyInUse: 'key',
};
const checked: Condition = ready({ message: 'Succeeded checking the issuer', lastTransitionTime: BEFORE });
const unreachable = new IssuerProblem('Unreachable', 'No answer; check the network');
const failed: Condition = ready({
  status: 'False',
  reason: 'Unreachable',
  message: 'No answer; check the network',
  lastTransitionTime: BEFORE,
});

interface Case {
  readonly name: string;
  readonly status?: IssuerStatus;
  readonly generation?: number;
  readonly problem?: IssuerProblem;
  readonly expected: IssuerStatusChange | undefined;
}

const change = (condition: Condition, isTransition: boolean): IssuerStatusChange => ({
  status: { conditions: [condition], ...details },
  condition,
  isTransition,
});

const cases: readonly Case[] = [
  { name: 'the first, ready', expected: change({ ...checked, lastTransitionTime: NOW }, true) },
  {
    name: 'the first, not ready',
    problem: unreachable,
    expected: change({ ...failed, lastTransitionTime: NOW }, true),
  },
  { name: 'ready as before is not written', status: { conditions: [checked], ...details }, expected: undefined },
  {
    name: 'not ready as before is not written',
    status: { conditions: [failed], ...details },
    problem: unreachable,
    expected: undefined,
  },
  {
    name: 'ready no more',
    status: { conditions: [checked], ...details },
    problem: unreachable,
    expected: change({ ...failed, lastTransitionTime: NOW }, true),
  },
  {
    name: 'ready again',
    status: { conditions: [failed], ...details },
    expected: change({ ...checked, lastTransitionTime: NOW }, true),
  },
  {
    name: 'not ready for another reason is worth an event',
    status: { conditions: [{ ...failed, reason: 'TLSFailed' }], ...details },
    problem: unreachable,
    expected: change(failed, true),
  },
  {
    name: 'another sentence for the same reason is written without an event',
    status: { conditions: [{ ...failed, message: 'Another' }], ...details },
    problem: unreachable,
    expected: change(failed, false),
  },
  {
    name: 'a new generation is written without an event',
    status: { conditions: [checked], ...details },
    generation: 2,
    expected: change({ ...checked, observedGeneration: 2 }, false),
  },
  {
    name: 'another detail is written without an event',
    status: { conditions: [checked], ...details, keyInUse: 'key_next' },
    expected: change(checked, false),
  },
  {
    name: 'a detail that is known no more is taken back',
    status: { conditions: [checked], ...details, endpoints: [{ url: 'https://ca.example', lastError: 'x' }] },
    expected: change(checked, false),
  },
  {
    name: "the Go program's condition, which tells no generation, is replaced",
    status: { conditions: [{ type: 'Ready', status: 'True', reason: 'Success', lastTransitionTime: BEFORE }] },
    expected: change(checked, true),
  },
];

describe('buildIssuerStatus()', () => {
  for (const { name, status, generation = 1, problem, expected } of cases) {
    test(name, () => {
      const object = { ...issuer({ metadata: { generation } }), ...(status === undefined ? {} : { status }) };
      assert.deepEqual(buildIssuerStatus(object, problem, details, NOW_MS), expected);
    });
  }

  test('what was written is not written a second time', () => {
    const once = buildIssuerStatus(issuer(), unreachable, details, NOW_MS);
    assert.ok(once !== undefined);
    assert.equal(buildIssuerStatus({ ...issuer(), status: once.status }, unreachable, details, NOW_MS + 1), undefined);
  });
});

describe('saysTheSame()', () => {
  const reported: IssuerStatus = { conditions: [failed], ...details };
  const theirs: Condition = { type: 'Theirs', status: 'True' };
  for (const [what, status, expected] of [
    ['what was reported', reported, true],
    ['that at another time', { ...reported, conditions: [{ ...failed, lastTransitionTime: NOW }] }, true],
    ["that and another's condition", { ...reported, conditions: [theirs, failed] }, true],
    ['another sentence', { ...reported, conditions: [{ ...failed, message: 'Another' }] }, false],
    ['no condition', { ...reported, conditions: [] }, false],
    ['another detail', { ...reported, keyInUse: 'key_next' }, false],
    ['nothing', undefined, false],
  ] as const) {
    test(`${what}: ${expected}`, () => {
      const object = { ...issuer(), ...(status === undefined ? {} : { status }) };
      assert.equal(saysTheSame(object, reported), expected);
    });
  }

  test('nothing is the same as a report of nothing', () => {
    assert.equal(saysTheSame(issuer(), {}), false);
  });
});
