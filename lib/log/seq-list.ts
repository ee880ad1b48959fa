// A list of `seq` numbers, of which the index of the log has one for each topic.

/** Number of dropped entries that a list keeps before it is compacted. */
const MAX_DROPPED = 16

/** Ascending numbers, appended at the end and dropped from the beginning. */
export class SeqList {
  #seqs: number[]
  /** Number of dropped entries at the start of the array. */
  #dropped = 0
  /** The last number that was dropped; 0 before the first. */
  lastDropped = 0

  /** @param seqs the first numbers, ascending; the list keeps the array */
  constructor(seqs: number[] = []) {
    this.#seqs = seqs
  }

  /** Number of entries. */
  get size(): number {
    return this.#seqs.length - this.#dropped
  }

  push(seq: number): void {
    if (this.size === 0 && this.#dropped > 0) this.#startAnew(seq)
    else this.#seqs.push(seq)
  }

  /** Drops the entries below `seq`. */
  dropBelow(seq: number): void {
    while (this.#dropped < this.#seqs.length && this.#seqs[this.#dropped]! < seq)
      this.lastDropped = this.#seqs[this.#dropped++]!
    // With half of the array dropped, a copy costs less than one step for each dropped entry.
    if (this.#dropped > MAX_DROPPED && this.#dropped * 2 > this.#seqs.length) {
      this.#seqs = this.#seqs.slice(this.#dropped)
      this.#dropped = 0
    }
  }

  /**
   * Overwrites dropped entries. In a log of many topics most lists hold one entry and get the next when that is
   * dropped.
   */
  #startAnew(seq: number): void {
    this.#seqs[0] = seq
    if (this.#dropped > 1) this.#seqs.length = 1
    this.#dropped = 0
  }

  /** Number of entries above `seq`. */
  countAfter(seq: number): number {
    return this.#seqs.length - this.#placeAfter(seq)
  }

  /** The entries above `seq`, in order. */
  *after(seq: number): Generator<number> {
    for (let place = this.#placeAfter(seq); place < this.#seqs.length; place++) yield this.#seqs[place]!
  }

  /** Adds the entries above `seq`, up to and including `last`, to an array. */
  collect(seq: number, last: number, into: number[]): void {
    for (let place = this.#placeAfter(seq); place < this.#seqs.length && this.#seqs[place]! <= last; place++)
      into.push(this.#seqs[place]!)
  }

  /** The index of the first entry above `seq`, by binary search. */
  #placeAfter(seq: number): number {
    let low = this.#dropped
    let high = this.#seqs.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#seqs[middle]! > seq) high = middle
      else low = middle + 1
    }
    return low
  }
}
