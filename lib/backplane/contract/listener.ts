import { randomUUID } from 'node:crypto'
import type { BackplaneEntry, BackplaneListener, Joined, Parcel } from '../backplane.js'

/** Rejects where `promise` has not settled after `ms`. */
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

/** Keeps what a backplane tells, and lets a case wait for it. */
export class ContractListener implements BackplaneListener {
  readonly entries: BackplaneEntry[] = []
  readonly gaps: Joined[] = []
  readonly states: boolean[] = []
  /** What it has given for the log to tell of a loss. */
  readonly losses: Parcel[] = []
  /** Where there is something that could not be told as a message. */
  readonly foreign: string[] = []
  /** Message ids of what came before the engine was first out of reach. */
  first: string[] = []
  /** What came since the last gap. */
  sinceGap: BackplaneEntry[] = []
  /** Calls before `join` had resolved. */
  early = 0
  #isJoined = false
  readonly #waiting = new Set<() => void>()
  readonly #patience: number

  /** @param patience how long what must come may take, ms */
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
    this.#look()
  }

  onGap(joined: Joined): void {
    /* c8 ignore next: only a broken backplane has a gap before it has joined */
    if (!this.#isJoined) this.early++
    this.gaps.push(joined)
    this.sinceGap = []
    this.#look()
  }

  onLoss(): Parcel {
    const loss: Parcel = { messageId: `${randomUUID()}:1`, message: { kind: 'loss', body: '{"silence":0}' } }
    this.losses.push(loss)
    return loss
  }

  onForeign(cursor: string): void {
    this.foreign.push(cursor)
    this.#look()
  }

  onState(isConnected: boolean): void {
    if (!isConnected && !this.states.includes(false)) this.first = this.entries.map(({ messageId }) => messageId)
    this.states.push(isConnected)
    this.#look()
  }

  /** So many entries. */
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

  /** What the log has since the last gap, as far as it was told. To be asked once there was one. */
  get newest(): BackplaneEntry[] {
    return [...this.gaps.at(-1)!.history, ...this.sinceGap]
  }

  /** The state that was told last. Whoever has joined is connected. */
  async untilConnected(isConnected: boolean): Promise<this> {
    await this.#until(() => (this.states.at(-1) ?? true) === isConnected, `onState(${isConnected})`)
    return this
  }

  async #until(holds: () => boolean, what: string): Promise<void> {
    let look!: () => void
    const coming = new Promise<void>((resolve) => {
      look = () => {
        if (holds()) resolve()
      }
    })
    this.#waiting.add(look)
    look()
    try {
      await within(coming, `the wait for ${what}, where ${this.entries.length} entries have come,`, this.#patience)
    } finally {
      this.#waiting.delete(look)
    }
  }

  #look(): void {
    for (const look of this.#waiting) look()
  }
}
