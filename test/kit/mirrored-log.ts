// A mirror over an engine that the test drives.

import type { Test } from 'tap'
import type { BackplaneEntry, BackplaneListener, Joined, Parcel } from '../../lib/backplane/backplane.js'
import { IdempotencyKeys } from '../../lib/backplane/idempotency.js'
import { resolveLimits } from '../../lib/backplane/limits.js'
import { Mirror } from '../../lib/backplane/mirror.js'
import { type Deferred, deferred } from './deferred.js'
import { type LogLine, LogLines } from './log-lines.js'
import { withTimeout } from './patience.js'
import { Watch } from './watch.js'

interface Options {
  optional?: boolean
}

/** A log that several processes share, seen from one of them, with an engine that does what the test says. */
export class MirroredLog {
  /** What the process's own log was told. */
  readonly told: string[] = []
  readonly joins: { answer: Deferred<Joined>; listener: BackplaneListener }[] = []
  readonly batches: { batch: readonly Parcel[]; answer: Deferred<readonly string[]> }[] = []
  readonly log = new LogLines()
  closes = 0
  readonly shared: Mirror
  readonly #watch = new Watch(() => JSON.stringify(this.told))
  #head = 0
  #messages = 0
  #closed: Promise<void> | undefined

  constructor(t: Test, options: Options = {}) {
    const backplane = {
      name: 'fake',
      limits: resolveLimits(options),
      join: (_bounds: unknown, listener: BackplaneListener) => {
        const answer = deferred<Joined>()
        this.joins.push({ answer, listener })
        this.#watch.changed()
        return answer.promise
      },
      publish: (batch: readonly Parcel[]) => {
        const answer = deferred<readonly string[]>()
        this.batches.push({ batch, answer })
        this.#watch.changed()
        return answer.promise
      },
      compare: (a: string, b: string) => Number(a) - Number(b),
      close: async () => {
        this.closes++
      }
    }
    const mirror = {
      answers: new IdempotencyKeys(100),
      has: () => false,
      isReserved: (id: string) => /^\d+$/.test(id),
      append: ({ body }: { body: string }, cursor: string) => {
        this.#head = Number(cursor.split('-')[0])
        this.told.push(body.slice('data: '.length, -2))
        return cursor
      },
      hearRun: () => {},
      onState: () => {},
      addBareId: (id: string) => {
        this.told.push(`bare ${id.split('-')[0]}`)
      },
      order: ({ body }: { body: string }) => {
        this.told.push(`disconnect ${JSON.parse(body).selector.id}`)
      },
      compareWithHead: (cursor: string) => (/^\d+$/.test(cursor) ? Number(cursor) - this.#head : undefined),
      rebase: (floor: string) => {
        this.#head = Number(floor.split('-')[0])
        this.told.push(`rebase ${this.#head}`)
      },
      skipGap: () => {
        this.told.push('skip')
      }
    }
    const logAt = (level: number) => (fields: object, msg: string) =>
      this.log.write(JSON.stringify({ level, msg, ...fields } satisfies LogLine))
    const logger = { debug: logAt(20), warn: logAt(40), error: logAt(50) }
    this.shared = new Mirror(backplane, { events: 10, bytes: 1000 }, mirror, logger)
    t.teardown(() => this.close())
  }

  close(): Promise<void> {
    this.#closed ??= withTimeout(this.shared.close(), 'the closing')
    return this.#closed
  }

  /** The listener of the attempt to join that has come to the engine as the `number`-th. */
  async joining(number = 1) {
    return this.#watch.until(() => this.joins[number - 1], `attempt ${number} to join`)
  }

  async batch(number = 1) {
    return this.#watch.until(() => this.batches[number - 1], `batch ${number}`)
  }

  async join(floor = '0', ...history: BackplaneEntry[]): Promise<BackplaneListener> {
    const joined = this.shared.join()
    const { answer, listener } = await this.joining()
    answer.resolve({ floor, history })
    await joined
    return listener
  }

  entry(cursor: number, kind: 'event' | 'disconnect' = 'event', at = Date.now()): BackplaneEntry {
    const text = `${kind} ${cursor}`
    const body = kind === 'event' ? `data: ${text}\n\n` : JSON.stringify({ selector: { id: text } })
    const message = { kind, body } as const
    return { cursor: String(cursor), messageId: `other:${++this.#messages}`, at, message }
  }

  linesAt(level: number): string[] {
    return this.log.matching((line) => line.level === level).map(({ msg }) => msg)
  }
}
