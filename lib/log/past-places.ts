import type { CompareCursors } from './event-log.js'

/** Names that are kept. With some 50 bytes each, half a megabyte. */
const MAX_NAMES = 10_000

/**
 * The names of the places before the oldest event, where an engine names the places: the last 10,000. Whether a client
 * that shows an older cursor has missed anything can be told as long as the place of that cursor is known.
 */
export class PastPlaces {
  readonly #compare: CompareCursors
  /** In order; those before `#dropped` are forgotten. */
  #names: string[]
  #dropped = 0
  /** `seq` of the last one. */
  #last: number

  /**
   * @param floor the name of the place before the first event
   * @param seq its `seq`
   */
  constructor(floor: string, seq: number, compare: CompareCursors) {
    this.#names = [floor]
    this.#last = seq
    this.#compare = compare
  }

  /** The name of the place before the oldest event. */
  get floor(): string {
    return this.#names.at(-1)!
  }

  /** Adds the place of the oldest event, which is being evicted. */
  add(name: string): void {
    this.#names.push(name)
    this.#last++
    if (this.#names.length - this.#dropped > MAX_NAMES) this.#dropped++
    if (this.#dropped < MAX_NAMES) return
    this.#names = this.#names.slice(this.#dropped)
    this.#dropped = 0
  }

  /** The name of a place; that of the last one, where it is forgotten. */
  nameOf(seq: number): string {
    const at = this.#names.length - 1 - (this.#last - seq)
    return at < this.#dropped ? this.floor : this.#names[at]!
  }

  /** `seq` of the place that has exactly this name; -1 where none has, or it is forgotten. */
  find(name: string): number {
    let low = this.#dropped
    let high = this.#names.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#compare(this.#names[middle]!, name)! >= 0) high = middle
      else low = middle + 1
    }
    return this.#names[low] === name ? this.#last - (this.#names.length - 1 - low) : -1
  }
}
