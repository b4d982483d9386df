/** Conditions as pure functions, by the rules of Kubernetes' API conventions. */
import type { Condition } from '../api/index.ts';
import { formatTime } from '../platform/index.ts';

/** Conditions longer than this are cut; the API server's own limit for messages. */
const MAX_MESSAGE_LENGTH = 32_768;

export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True';
}

/** The condition to write: `lastTransitionTime` is that of the present one while the status stays the same. */
export function buildCondition(
  conditions: readonly Condition[] | undefined,
  next: Omit<Condition, 'lastTransitionTime'>,
  nowMs: number,
): Condition {
  const present = findCondition(conditions, next.type);
  const unchanged = present?.status === next.status && present.lastTransitionTime !== undefined;
  return {
    ...next,
    ...(next.message === undefined ? {} : { message: next.message.slice(0, MAX_MESSAGE_LENGTH) }),
    lastTransitionTime: unchanged ? (present.lastTransitionTime ?? '') : formatTime(nowMs),
  };
}

/** Whether two conditions say the same; the time of the transition follows from the rest. */
export function isSameCondition(a: Condition | undefined, b: Condition): boolean {
  return (
    a?.type === b.type &&
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration
  );
}
