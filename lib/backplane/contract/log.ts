// The log that a case works on: backplanes that join it, and messages to publish.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Backplane, HistoryBounds, Parcel } from '../backplane.js'
import { ContractListener, within } from './listener.js'

/** Bounds that hold everything that a case publishes. */
export const AMPLE: HistoryBounds = { events: 10_000, bytes: 16 * 1024 * 1024 }

/** A backplane that has joined, with its listener. It stands for a process of an app. */
export interface Member {
  backplane: Backplane
  listener: ContractListener
  joined: Awaited<ReturnType<Backplane['join']>>
}

/** The log of a case. It remembers the backplanes that the case creates, so that the suite can close them. */
export class ContractLog {
  readonly made: Backplane[] = []
  readonly #connect: () => Backplane
  readonly #patience: number

  constructor(connect: () => Backplane, patience: number) {
    this.#connect = connect
    this.#patience = patience
  }

  make(): Backplane {
    const backplane = this.#connect()
    this.made.push(backplane)
    return backplane
  }

  async join(bounds = AMPLE): Promise<Member> {
    const backplane = this.make()
    const listener = new ContractListener(this.#patience)
    const joining = backplane.join(bounds, listener).then((joined) => {
      listener.hasJoined()
      return joined
    })
    const joined = await within(joining, 'join()', this.#patience)
    return { backplane, listener, joined }
  }

  /** Tries again until an attempt succeeds, as the plugin does while an engine comes back. */
  async retry<T>(attempt: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + this.#patience
    for (;;) {
      try {
        return await within(attempt(), 'an attempt', this.#patience)
      } catch (error) {
        if (Date.now() > deadline) throw error
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }
}

/** Creates messages of a new publisher. */
export function parcels(count: number, body?: string): Parcel[] {
  return numbering()(count, body)
}

/** Creates messages of one publisher, numbered as the plugin numbers them. */
export function numbering(): (count: number, body?: string) => Parcel[] {
  const publisher = randomUUID()
  let last = 0
  return (count, body) =>
    Array.from({ length: count }, () => {
      last++
      return { messageId: `${publisher}:${last}`, message: { kind: 'event', body: body ?? `data: ${last}\n\n` } }
    })
}

/** A message without undefined fields, and with `isText` as a boolean, so that two can be compared. */
export function plain({ messageId, message }: Parcel): unknown {
  return JSON.parse(
    JSON.stringify({ messageId, message: { ...message, isText: 'isText' in message && !!message.isText } })
  )
}

export function assertAscending(backplane: Backplane, cursors: readonly string[]): void {
  for (let i = 1; i < cursors.length; i++) {
    const [before, after] = [cursors[i - 1]!, cursors[i]!]
    assert.ok(backplane.compare(before, after)! < 0, `'${before}' is told before '${after}'`)
  }
}
