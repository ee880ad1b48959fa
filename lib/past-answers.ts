import { IdempotencyKeyReusedError } from './errors.js'

/** What the answer to a request cost, in ids; also that which published few. */
const MIN_COST = 10

interface PastAnswer {
  /** Of the events that the request brought. */
  readonly digest: string
  readonly ids: readonly string[]
}

/** The answers to requests with an idempotency key, so that a request that is made again is answered as it was. */
export class PastAnswers {
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

  /** @throws IdempotencyKeyReusedError where the key came with other events */
  find(key: string, digest: string): readonly string[] | undefined {
    const answer = this.#answers.get(key)
    if (answer !== undefined && answer.digest !== digest) throw new IdempotencyKeyReusedError()
    return answer?.ids
  }

  add(key: string, answer: PastAnswer): void {
    this.#answers.set(key, answer)
    this.#cost += cost(answer)
    for (const [oldest, { ids }] of this.#answers) {
      if (this.#cost <= this.#max) return
      this.#answers.delete(oldest)
      this.#cost -= cost({ ids })
    }
  }
}

function cost({ ids }: Pick<PastAnswer, 'ids'>): number {
  return Math.max(ids.length, MIN_COST)
}
