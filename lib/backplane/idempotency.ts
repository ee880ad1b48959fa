// Idempotency keys of requests that publish, and what they were answered with.

import { IdempotencyKeyReusedError } from '../api/errors.js'
import type { PublishRequest } from './backplane.js'

/** Maximum length of an idempotency key, characters. */
export const MAX_KEY = 255
/** Maximum number of events of a request. */
export const MAX_REQUEST_EVENTS = 1000

/** An answer counts as at least so many ids. */
const MIN_COST = 10

interface PastAnswer {
  /** Digest of the request's events. */
  readonly digest: string
  readonly ids: (string | undefined)[]
}

/** The answers to requests with an idempotency key: a repeated request gets the same answer. */
export class IdempotencyKeys {
  readonly #max: number
  /** Answers by key, the oldest first. */
  readonly #answers = new Map<string, PastAnswer>()
  #cost = 0

  /** @param max number of ids kept; an answer counts as at least ten. At the limit the oldest answers are forgotten */
  constructor(max: number) {
    this.#max = max
  }

  /** Number of answers kept. */
  get size(): number {
    return this.#answers.size
  }

  /**
   * Returns the id that an event of a request was given; undefined if the key is new.
   *
   * @throws IdempotencyKeyReusedError if the key was used with other events
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

  /** Notes the id that an event of a request was given. */
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
