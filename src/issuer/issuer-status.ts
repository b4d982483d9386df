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
  const { conditions: _, ...presentDetails } = issuer.status ?? {};
  if (isSameCondition(present, next) && isDeepStrictEqual(presentDetails, details)) return undefined;
  const condition = buildCondition(issuer.status?.conditions, next, nowMs);
  return {
    status: { conditions: [condition], ...details },
    condition,
    isTransition: present?.status !== next.status || present.reason !== next.reason,
  };
}
