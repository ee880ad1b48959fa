// A publish queue, and an engine that answers its batches when the test says so.

import type { BackplaneEvent, BackplaneLimits, Parcel } from '../../lib/backplane/backplane.js'
import { PublishQueue } from '../../lib/backplane/publish-queue.js'
import { type Deferred, deferred } from './deferred.js'
import { withTimeout } from './patience.js'
import { Watch } from './watch.js'

const LIMITS: BackplaneLimits = {
  optional: false,
  publishTimeout: 60_000,
  maxPending: 10_000,
  maxPendingBytes: 16 * 1024 * 1024
}

export function event(body: string, labels: Partial<BackplaneEvent> = {}): BackplaneEvent {
  return { kind: 'event', body, ...labels }
}

interface Attempt {
  readonly batch: readonly Parcel[]
  readonly bodies: string[]
  readonly ids: string[]
  readonly answer: Deferred<readonly string[]>
}

/** An engine that answers when it is told to, and what is sent to it. */
export class BatchedQueue {
  readonly attempts: Attempt[] = []
  readonly queue: PublishQueue
  readonly #watch = new Watch(() => `${this.attempts.length} attempts`)

  constructor(limits: Partial<BackplaneLimits> = {}) {
    const publish = (batch: readonly Parcel[]) => {
      const answer = deferred<readonly string[]>()
      const bodies = batch.map(({ message }) => message.body)
      this.attempts.push({ batch, bodies, ids: batch.map(({ messageId }) => messageId), answer })
      this.#watch.changed()
      return answer.promise
    }
    this.queue = new PublishQueue('me', publish, { ...LIMITS, ...limits })
  }

  async attempt(number: number): Promise<Attempt> {
    const look = () => this.attempts[number - 1]
    return this.#watch.until(look, `attempt ${number}`)
  }

  /** Answers with the cursors `c1` and on. */
  async take(number: number): Promise<Attempt> {
    const attempt = await this.attempt(number)
    attempt.answer.resolve(attempt.ids.map((id) => id.replace('me:', 'c')))
    return attempt
  }

  async fail(number: number, error = new Error('the connection is lost')): Promise<Attempt> {
    const attempt = await this.attempt(number)
    attempt.answer.reject(error)
    return attempt
  }
}

/** What a test awaits may hang on nothing that keeps a process alive. */
export function all<T>(promises: readonly Promise<T>[]): Promise<PromiseSettledResult<T>[]> {
  return withTimeout(Promise.allSettled(promises), 'the messages')
}

export function fulfilled(...values: string[]) {
  return values.map((value) => ({ status: 'fulfilled', value }))
}
