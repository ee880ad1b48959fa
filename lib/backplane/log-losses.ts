import { randomUUID } from 'node:crypto'
import type { BackplaneEntry, BackplaneLoss, Parcel } from './backplane.js'

/** What an entry of the kind `loss` says of the process that has published it. */
interface LossReport {
  /** The message id of the last loss that it had read of, where there was one. */
  readonly after?: string | undefined
  /** How long before it had last read anything of what the log had, ms. */
  readonly silence: number
  /** Names the report, where its process has told its clients already. */
  readonly told?: string | undefined
}

/**
 * The losses that the log tells of. Every process that has read what is lost reports it, so that many reports may be of
 * one loss: clients are told by the first.
 */
export class LogLosses {
  /** When the engine got the first report of the loss that is known last, by its clock, ms; nothing before the first. */
  #at: number | undefined
  /** Message ids of the reports of that loss. */
  readonly #reports = new Set<string>()
  #last: string | undefined
  /** When something was read, ms on the clock of `performance.now()`. */
  #readAt = performance.now()
  /** The report that this process has yet to find in the log. */
  #own: string | undefined
  /** The last report of whose loss this process has told its clients before it has read the report. */
  #told: string | undefined

  noteRead(): void {
    this.#readAt = performance.now()
  }

  /** What is to be appended to the log. */
  report(): Parcel {
    this.#own = `${randomUUID()}:1`
    const report: LossReport = { after: this.#last, silence: Math.floor(performance.now() - this.#readAt) }
    return { messageId: this.#own, message: { kind: 'loss', body: JSON.stringify(report) } }
  }

  /**
   * What is to be published about a loss that this process has told its clients of.
   *
   * @param silence how long ago the log had what is lost, ms
   */
  reportTold(silence: number): BackplaneLoss {
    this.#told = randomUUID()
    const report: LossReport = { after: this.#last, silence: Math.ceil(silence), told: this.#told }
    return { kind: 'loss', body: JSON.stringify(report) }
  }

  /** The log is read anew. @returns whether that is for a loss that this process has found, and the log tells of it */
  begin(history: readonly BackplaneEntry[]): 'none' | 'told' | 'untold' {
    const own = this.#own
    this.#own = undefined
    // The log may not have it any more.
    this.#at = undefined
    this.#reports.clear()
    this.#last = undefined
    if (own === undefined) return 'none'
    return history.some(({ messageId }) => messageId === own) ? 'told' : 'untold'
  }

  /**
   * Whether a report is of the loss that is known already: its process had not read of that, and had last read something
   * before.
   */
  isKnown({ messageId, at, message: { body } }: BackplaneEntry): boolean {
    const { after, silence, told } = parseReport(body)
    const isOlder = after === undefined || !this.#reports.has(after)
    const isKnown = this.#at !== undefined && isOlder && at - silence <= this.#at
    if (!isKnown) {
      this.#at = at
      this.#reports.clear()
    }
    this.#reports.add(messageId)
    this.#last = messageId
    return isKnown || (told !== undefined && told === this.#told)
  }
}

/** Where it says nothing, it is taken for a loss of its own. */
function parseReport(body: string): LossReport {
  try {
    const { after, silence, told } = JSON.parse(body)
    return { after: textOf(after), silence: silence > 0 ? Number(silence) : 0, told: textOf(told) }
  } catch {
    return { silence: 0 }
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
