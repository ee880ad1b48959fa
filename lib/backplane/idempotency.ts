import { IdempotencyKeyReusedError } from '../api/errors.js'
import type { PublishRequest } from './backplane.js'

/** Characters that an idempotency key may have. */
export const MAX_KEY = 255
/** Events that one request may bring. */
export const MAX_REQUEST_EVENTS = 1000

/** What an answer costs, in ids, however few it has. */
const MIN_COST = 10

interface PastAnswer {
  /** Of the events that the request brought. */
  readonly digest: string
  readonly ids: (string | undefined)[]
}

/** The answers to requests with an idempotency key, so that a request that is made again is answered as it was. */
export class IdempotencyKeys {
  readonly #max: number
  /** By key, the oldest first. */
  readonly #answers = new Map<string, PastAnswer>()
  #cost = 0

  /** @param max ids kept; an answer counts as ten at least. The oldest answers are forgotten first. */
  constructor(max: number) {
    this.#max = max
  }

  /** Answers kept. */
  get size(): number {
    return this.#answers.size
  }

  /**
   * The id that an event of a request has got.
   *
   * @throws IdempotencyKeyReusedError where the key came with other events
   */
  find({ key, digest, index }: PublishRequest): string | undefined {
    const answer = this.#answers.get(key)
    if (answer !== undefined && answer.digest !== digest) throw new IdempotencyKeyReusedError()
    return answer?.ids[index]
  }

  clear(): void {
    this.#answers.clear()
    this.#cost = 0
  }

  /** An event of a request has got its id. */
  add({ key, digest, index, count }: PublishRequest, id: string): void {
    let answer = this.#answers.get(key)
    if (answer === undefined) {
      answer = { digest, ids: new Array(count) }
      this.#answers.set(key, answer)
      this.#cost += cost(answer)
    }
    answer.ids[index] = id
    for (const [oldest, forgotten] of this.#answers) {
      if (this.#cost <= this.#max) return
      this.#answers.delete(oldest)
      this.#cost -= cost(forgotten)
    }
  }
}

function cost({ ids }: PastAnswer): number {
  return Math.max(ids.length, MIN_COST)
}
