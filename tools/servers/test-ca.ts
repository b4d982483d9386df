// The CA that CFSSL signs with: a root and two intermediates under it, each a label of multirootca.

import { type Authority, createAuthority } from './authority.ts';

export const LABELS = ['intermediate1', 'intermediate2'] as const;
export type Label = (typeof LABELS)[number];

export interface TestCa {
  readonly root: Authority;
  readonly intermediates: Readonly<Record<Label, Authority>>;
}

/** Makes a CA of its own; several servers can be given the same. */
export async function createTestCa(): Promise<TestCa> {
  const root = await createAuthority('Test Root');
  const [intermediate1, intermediate2] = await Promise.all([
    createAuthority('Test Intermediate 1', root),
    createAuthority('Test Intermediate 2', root),
  ]);
  return { root, intermediates: { intermediate1, intermediate2 } };
}
