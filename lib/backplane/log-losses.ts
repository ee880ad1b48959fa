// Reports of losses in the engine's log, and which of them this process already knows of.

import { randomUUID } from 'node:crypto'
import type { BackplaneEntry, BackplaneLoss, Parcel } from './backplane.js'

/** The body of an entry of the kind `loss`: what the process that published it had read. */
interface LossReport {
  /** Message id of the last report that the process had read, if any. */
  readonly after?: string | undefined
  /** Time since the process had last read entries that the log then held, ms. */
  readonly silence: number
  /** Identifies the report if the process has already told its clients of the loss. */
  readonly told?: string | undefined
}

/**
 * The losses that are reported in the log. Every process that had read the lost entries reports them, so there may be
 * several reports of one loss. Clients are told at the first one.
 */
export class LogLosses {
  /** When the engine stored the first report of the newest known loss, by its clock, ms; undefined before the first one. */
  #at: number | undefined
  /** Message ids of the reports of the newest known loss. */
  readonly #reports = new Set<string>()
  #last: string | undefined
  /** When entries were last read, ms on the clock of `performance.now()`. */
  #readAt = performance.now()
  /** The report of this process that it has yet to read in the log. */
  #own: string | undefined
  /** The newest report of a loss that this process told its clients of before it had read the report. */
  #told: string | undefined

  noteRead(): void {
    this.#readAt = performance.now()
  }

  /** Returns a report to append to the log. */
  report(): Parcel {
    this.#own = `${randomUUID()}:1`
    const report: LossReport = { after: this.#last, silence: Math.floor(performance.now() - this.#readAt) }
    return { messageId: this.#own, message: { kind: 'loss', body: JSON.stringify(report) } }
  }

  /**
   * Returns a report to publish of a loss that this process has already told its clients of.
   *
   * @param silence time since the log is known to have held what is lost, ms
   */
  reportTold(silence: number): BackplaneLoss {
    this.#told = randomUUID()
    const report: LossReport = { after: this.#last, silence: Math.ceil(silence), told: this.#told }
    return { kind: 'loss', body: JSON.stringify(report) }
  }

  /**
   * Call it when the log is read anew.
   *
   * @returns whether there is a loss that this process has found, and whether the log has a report of it
   */
  begin(history: readonly BackplaneEntry[]): 'none' | 'told' | 'untold' {
    const own = this.#own
    this.#own = undefined
    // The log may no longer hold it.
    this.#at = undefined
    this.#reports.clear()
    this.#last = undefined
    if (own === undefined) return 'none'
    return history.some(({ messageId }) => messageId === own) ? 'told' : 'untold'
  }

  /**
   * Whether a report is of the loss that is already known: its process had not read the reports of that loss, and had last
   * read entries before it.
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

/** A report that cannot be decoded counts as a loss of its own. */
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
