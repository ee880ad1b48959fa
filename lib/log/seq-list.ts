/** Dropped numbers that a list keeps before it is copied without them. */
const MAX_DROPPED = 16

/** Ascending numbers, appended at the end and dropped from the beginning. */
export class SeqList {
  #seqs: number[]
  /** How many at the beginning are dropped, but still there. */
  #dropped = 0
  /** The last number that was dropped; 0 before the first. */
  lastDropped = 0

  /** @param seqs the first numbers, ascending; the list keeps the array */
  constructor(seqs: number[] = []) {
    this.#seqs = seqs
  }

  /** How many it holds. */
  get size(): number {
    return this.#seqs.length - this.#dropped
  }

  push(seq: number): void {
    if (this.size === 0 && this.#dropped > 0) this.#startAnew(seq)
    else this.#seqs.push(seq)
  }

  /** Drops those below `seq`. */
  dropBelow(seq: number): void {
    while (this.#dropped < this.#seqs.length && this.#seqs[this.#dropped]! < seq)
      this.lastDropped = this.#seqs[this.#dropped++]!
    // Half of it gone, a copy costs less than one step for each that was dropped.
    if (this.#dropped > MAX_DROPPED && this.#dropped * 2 > this.#seqs.length) {
      this.#seqs = this.#seqs.slice(this.#dropped)
      this.#dropped = 0
    }
  }

  /** Writes over what has been dropped. In a log of many topics most lists hold one number, and get the next when that goes. */
  #startAnew(seq: number): void {
    this.#seqs[0] = seq
    if (this.#dropped > 1) this.#seqs.length = 1
    this.#dropped = 0
  }

  /** How many of them are above `seq`. */
  countAfter(seq: number): number {
    return this.#seqs.length - this.#placeAfter(seq)
  }

  /** Those above `seq`, in order. */
  *after(seq: number): Generator<number> {
    for (let place = this.#placeAfter(seq); place < this.#seqs.length; place++) yield this.#seqs[place]!
  }

  /** Adds those above `seq`, up to `last`, to an array. */
  collect(seq: number, last: number, into: number[]): void {
    for (let place = this.#placeAfter(seq); place < this.#seqs.length && this.#seqs[place]! <= last; place++)
      into.push(this.#seqs[place]!)
  }

  /** The place of the first above `seq`, by binary search. */
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
