/** How often and since when signing was tried for each request, by UID: what the limit of retries counts from. */
export interface Attempts {
  /** On the monotonic clock. */
  readonly firstAtMs: number;
  /** How many of them were refused without a reason. */
  readonly unclearCount: number;
  readonly lastError: string;
}

export class AttemptLog {
  readonly #byUid = new Map<string, Attempts>();

  get(uid: string): Attempts | undefined {
    return this.#byUid.get(uid);
  }

  recordFailure(
    uid: string,
    error: string,
    { nowMs, isUnclear }: { readonly nowMs: number; readonly isUnclear: boolean },
  ): Attempts {
    const before = this.#byUid.get(uid);
    const after = {
      firstAtMs: before?.firstAtMs ?? nowMs,
      unclearCount: (before?.unclearCount ?? 0) + (isUnclear ? 1 : 0),
      lastError: error,
    };
    this.#byUid.set(uid, after);
    return after;
  }

  /** The issuer was at fault: the request starts anew when the issuer is ready again. */
  forget(uid: string): void {
    this.#byUid.delete(uid);
  }
}
