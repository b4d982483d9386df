/**
 * How a request ended that the store does not show as finished yet, by its UID.
 * Invariant: between CFSSL's answer and the moment the store shows the request as finished, its end is here, so a failed
 * status write, a conflict or a stale store leads to another write, never to another signature.
 * Entries leave when the store shows the request finished or gone, so there are about as many as writes in flight.
 */
import type { RequestOutcome } from './request-status.ts';

/** An end that nothing changes any more. */
export type FinalOutcome = Exclude<RequestOutcome, { readonly state: 'Pending' }>;

export class FinalOutcomes {
  readonly #byUid = new Map<string, FinalOutcome>();

  get(uid: string): FinalOutcome | undefined {
    return this.#byUid.get(uid);
  }

  keep(uid: string, outcome: FinalOutcome): void {
    this.#byUid.set(uid, outcome);
  }

  drop(uid: string): void {
    this.#byUid.delete(uid);
  }
}
