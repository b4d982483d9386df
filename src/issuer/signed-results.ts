/**
 * Certificates that CFSSL has signed and that the store does not show yet, by the request's UID.
 * Invariant: between CFSSL's answer and the moment the store shows the request as finished, its certificate is here, so
 * a failed status write, a conflict or a stale store leads to another write, never to another signature.
 * Entries leave when the store shows the request finished or gone, so there are as many as writes in flight.
 */
export interface SignedResult {
  readonly certificatePem: string;
  readonly caPem: string | undefined;
}

export class SignedResults {
  readonly #byUid = new Map<string, SignedResult>();

  get(uid: string): SignedResult | undefined {
    return this.#byUid.get(uid);
  }

  keep(uid: string, result: SignedResult): void {
    this.#byUid.set(uid, result);
  }

  drop(uid: string): void {
    this.#byUid.delete(uid);
  }

  get size(): number {
    return this.#byUid.size;
  }
}
