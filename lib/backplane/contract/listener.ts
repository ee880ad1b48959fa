// A listener that records what a backplane tells it, for the cases to check.

import { randomUUID } from 'node:crypto'
import type { BackplaneEntry, BackplaneListener, Joined, Parcel } from '../backplane.js'

/** Waits for a promise. @throws Error that names `what` if the promise has not settled after `ms` */
export async function within<T>(promise: Promise<T>, what: string, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} has not settled within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Records every call of a backplane to its listener, and lets a case wait for calls. */
export class ContractListener implements BackplaneListener {
  readonly entries: BackplaneEntry[] = []
  readonly gaps: Joined[] = []
  readonly states: boolean[] = []
  /** Reports of losses that the backplane has asked for. */
  readonly losses: Parcel[] = []
  /** Cursors of entries that the backplane could not decode. */
  readonly foreign: string[] = []
  /** Message ids of the entries that came before the first outage. */
  first: string[] = []
  /** Entries that came since the last gap. */
  sinceGap: BackplaneEntry[] = []
  /** Number of calls before `join` had resolved. There must be none. */
  early = 0
  #isJoined = false
  readonly #waiting = new Set<() => void>()
  readonly #patience: number

  /** @param patience how long to wait for a call, ms */
  constructor(patience: number) {
    this.#patience = patience
  }

  get cursors(): string[] {
    return this.entries.map(({ cursor }) => cursor)
  }

  hasJoined(): void {
    this.#isJoined = true
  }

  onEntries(entries: readonly BackplaneEntry[]): void {
    if (!this.#isJoined) this.early++
    this.entries.push(...entries)
    this.sinceGap.push(...entries)
    this.#checkWaiting()
  }

  onGap(joined: Joined): void {
    /* c8 ignore next: only a broken backplane has a gap before it has joined */
    if (!this.#isJoined) this.early++
    this.gaps.push(joined)
    this.sinceGap = []
    this.#checkWaiting()
  }

  onLoss(): Parcel {
    const loss: Parcel = { messageId: `${randomUUID()}:1`, message: { kind: 'loss', body: '{"silence":0}' } }
    this.losses.push(loss)
    return loss
  }

  onForeign(cursor: string): void {
    this.foreign.push(cursor)
    this.#checkWaiting()
  }

  onState(isConnected: boolean): void {
    if (!isConnected && !this.states.includes(false)) this.first = this.entries.map(({ messageId }) => messageId)
    this.states.push(isConnected)
    this.#checkWaiting()
  }

  /** Waits until at least `count` entries have come. */
  async until(count: number): Promise<this> {
    await this.#until(() => this.entries.length >= count, `${count} entries`)
    return this
  }

  async untilCursor(cursor: string, entries: () => readonly BackplaneEntry[] = () => this.entries): Promise<this> {
    await this.#until(() => entries().some((entry) => entry.cursor === cursor), `the entry at ${cursor}`)
    return this
  }

  async untilGap(count = 1): Promise<this> {
    await this.#until(() => this.gaps.length >= count, `${count} gaps`)
    return this
  }

  /** The history of the last gap and the entries after it. Use it only after a gap. */
  get newest(): BackplaneEntry[] {
    return [...this.gaps.at(-1)!.history, ...this.sinceGap]
  }

  /** Waits until the last state is the given one. A backplane that has joined is connected without saying so. */
  async untilConnected(isConnected: boolean): Promise<this> {
    await this.#until(() => (this.states.at(-1) ?? true) === isConnected, `onState(${isConnected})`)
    return this
  }

  async #until(holds: () => boolean, what: string): Promise<void> {
    let check!: () => void
    const coming = new Promise<void>((resolve) => {
      check = () => {
        if (holds()) resolve()
      }
    })
    this.#waiting.add(check)
    check()
    try {
      await within(coming, `the wait for ${what}, where ${this.entries.length} entries have come,`, this.#patience)
    } finally {
      this.#waiting.delete(check)
    }
  }

  #checkWaiting(): void {
    for (const check of this.#waiting) check()
  }
}
