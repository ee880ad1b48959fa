/** Ascending numbers, appended at the end and dropped from the beginning. */
export class SeqList {
  #seqs: number[] = []
  /** How many at the beginning are dropped, but still there. */
  #dropped = 0

  /** How many it holds. */
  get size(): number {
    return this.#seqs.length - this.#dropped
  }

  push(seq: number): void {
    this.#seqs.push(seq)
  }

  /** Drops those below `seq`. */
  dropBelow(seq: number): void {
    while (this.#dropped < this.#seqs.length && this.#seqs[this.#dropped]! < seq) this.#dropped++
    // Half of it gone, a copy costs less than one step for each that was dropped.
    if (this.#dropped > 1024 && this.#dropped * 2 > this.#seqs.length) {
      this.#seqs = this.#seqs.slice(this.#dropped)
      this.#dropped = 0
    }
  }

  /** Those above `seq`, in order. */
  *after(seq: number): Generator<number> {
    let low = this.#dropped
    let high = this.#seqs.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#seqs[middle]! > seq) high = middle
      else low = middle + 1
    }
    for (; low < this.#seqs.length; low++) yield this.#seqs[low]!
  }
}
