/** The status of an issuer after a check: the one place that builds it. */
import { isDeepStrictEqual } from 'node:util';
import { type Condition, type Issuer, type IssuerStatus, READY } from '../api/index.ts';
import { buildCondition, findCondition, isSameCondition } from './conditions.ts';
import type { IssuerProblem } from './issuer-problem.ts';

export interface IssuerStatusChange {
  readonly status: IssuerStatus;
  readonly condition: Condition;
  /** Whether the Ready condition's status or reason changed: worth an event. */
  readonly isTransition: boolean;
}

/** The status to apply, or undefined when the issuer already says exactly that. */
export function buildIssuerStatus(
  issuer: Issuer,
  problem: IssuerProblem | undefined,
  details: Omit<IssuerStatus, 'conditions'>,
  nowMs: number,
): IssuerStatusChange | undefined {
  const present = findCondition(issuer.status?.conditions, READY);
  const next = {
    type: READY,
    status: problem === undefined ? ('True' as const) : ('False' as const),
    reason: problem?.reason ?? 'Checked',
    message: problem?.message ?? 'Succeeded checking the issuer',
    observedGeneration: issuer.metadata.generation ?? 0,
  };
  if (isSameCondition(present, next) && isDeepStrictEqual(detailsOf(issuer.status), details)) return undefined;
  const condition = buildCondition(issuer.status?.conditions, next, nowMs);
  return {
    status: { conditions: [condition], ...details },
    condition,
    isTransition: present?.status !== next.status || present.reason !== next.reason,
  };
}

/** Whether an issuer says what was reported about it; conditions of others do not matter. */
export function saysTheSame({ status }: Issuer, reported: IssuerStatus): boolean {
  const condition = findCondition(reported.conditions, READY);
  const isSame = condition !== undefined && isSameCondition(findCondition(status?.conditions, READY), condition);
  return isSame && isDeepStrictEqual(detailsOf(status), detailsOf(reported));
}

function detailsOf(status: IssuerStatus | undefined): Omit<IssuerStatus, 'conditions'> {
  const { conditions: _, ...details } = status ?? {};
  return details;
}
