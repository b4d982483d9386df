/** How often and since when signing was tried for each request, by UID: what the limit of retries counts from. */
export interface Attempts {
  /** On the monotonic clock. */
  readonly firstAtMs: number;
  readonly count: number;
  readonly lastError: string;
}

export class AttemptLog {
  readonly #byUid = new Map<string, Attempts>();

  get(uid: string): Attempts | undefined {
    return this.#byUid.get(uid);
  }

  recordFailure(uid: string, error: string, nowMs: number): Attempts {
    const before = this.#byUid.get(uid);
    const after = { firstAtMs: before?.firstAtMs ?? nowMs, count: (before?.count ?? 0) + 1, lastError: error };
    this.#byUid.set(uid, after);
    return after;
  }

  /** The issuer was at fault: the request starts anew when the issuer is ready again. */
  forget(uid: string): void {
    this.#byUid.delete(uid);
  }
}
