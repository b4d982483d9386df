/** A binary heap of keys by the time they are due; each key is in it at most once, at its earliest time. */
export class DelayHeap {
  /** Invariant: no entry is due before its parent at `(index - 1) >> 1`. */
  readonly #entries: { readonly key: string; readonly dueMs: number }[] = [];
  /** Key → when it is due. An entry with another time has been overtaken and is skipped when it comes up. */
  readonly #dueMs = new Map<string, number>();

  get size(): number {
    return this.#dueMs.size;
  }

  /** When the first key is due; undefined when there is none. */
  get nextDueMs(): number | undefined {
    this.#dropOvertaken();
    return this.#entries[0]?.dueMs;
  }

  /** Adds the key, or brings it forward; a later time than the one it has is ignored. */
  add(key: string, dueMs: number): void {
    const known = this.#dueMs.get(key);
    if (known !== undefined && known <= dueMs) return;
    this.#dueMs.set(key, dueMs);
    this.#entries.push({ key, dueMs });
    this.#siftUp();
  }

  /** Takes out the first key that is due by then. */
  take(nowMs: number): string | undefined {
    const dueMs = this.nextDueMs;
    if (dueMs === undefined || dueMs > nowMs) return undefined;
    const entry = this.#pop();
    if (entry !== undefined) this.#dueMs.delete(entry.key);
    return entry?.key;
  }

  clear(): void {
    this.#entries.length = 0;
    this.#dueMs.clear();
  }

  #dropOvertaken(): void {
    for (let top = this.#entries[0]; top && this.#dueMs.get(top.key) !== top.dueMs; top = this.#entries[0]) this.#pop();
  }

  #pop() {
    const top = this.#entries[0];
    const last = this.#entries.pop();
    if (last !== undefined && this.#entries.length > 0) {
      this.#entries[0] = last;
      this.#siftDown();
    }
    return top;
  }

  #siftUp(): void {
    let index = this.#entries.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#due(parent) <= this.#due(index)) return;
      this.#swap(parent, index);
      index = parent;
    }
  }

  #siftDown(): void {
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const child = this.#due(left + 1) < this.#due(left) ? left + 1 : left;
      if (this.#due(index) <= this.#due(child)) return;
      this.#swap(index, child);
      index = child;
    }
  }

  #due(index: number): number {
    return this.#entries[index]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  #swap(i: number, j: number): void {
    const [a, b] = [this.#entries[i], this.#entries[j]];
    if (a !== undefined && b !== undefined) {
      this.#entries[i] = b;
      this.#entries[j] = a;
    }
  }
}
