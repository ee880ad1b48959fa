// A listener for tests of backplanes, which keeps what it is told.

import type {
  Backplane,
  BackplaneEntry,
  BackplaneListener,
  HistoryBounds,
  Joined,
  Parcel
} from '../../lib/backplane/backplane.js'
import { Watch } from './watch.js'

/** Keeps what a backplane tells. */
export class Listener implements BackplaneListener {
  readonly entries: BackplaneEntry[] = []
  readonly gaps: Joined[] = []
  readonly losses: Parcel[] = []
  readonly foreign: [cursor: string, reason: string][] = []
  readonly states: [isConnected: boolean, error?: Error][] = []
  readonly #watch = new Watch(() => JSON.stringify([this.entries.length, this.gaps, this.states]))

  onEntries(entries: readonly BackplaneEntry[]): void {
    this.entries.push(...entries)
    this.#watch.changed()
  }

  onGap(joined: Joined): void {
    this.gaps.push(joined)
    this.#watch.changed()
  }

  onLoss(): Parcel {
    const loss: Parcel = { messageId: `loss:${++count}`, message: { kind: 'loss', body: '{"silence":0}' } }
    this.losses.push(loss)
    return loss
  }

  onForeign(...what: [cursor: string, reason: string]): void {
    this.foreign.push(what)
    this.#watch.changed()
  }

  onState(...state: [isConnected: boolean, error?: Error]): void {
    this.states.push(state)
    this.#watch.changed()
  }

  get bodies(): string[] {
    return this.entries.map(({ message }) => message.body)
  }

  async waitForEntries(count: number): Promise<BackplaneEntry[]> {
    await this.#watch.until(() => this.entries.length >= count || undefined, `${count} entries`, 30_000)
    return this.entries
  }

  waitForGap(number = 1): Promise<Joined> {
    return this.#watch.until(() => this.gaps[number - 1], `gap ${number}`, 30_000)
  }

  waitForState(wanted: boolean): Promise<[boolean, Error?]> {
    const isWanted = () => (this.states.at(-1)?.[0] === wanted ? this.states.at(-1) : undefined)
    return this.#watch.until(isWanted, `the state ${wanted}`, 30_000)
  }
}

export const PLENTY: HistoryBounds = { events: 10_000, bytes: 1024 * 1024 }

export async function join(backplane: Backplane, bounds = PLENTY): Promise<Joined & { listener: Listener }> {
  const listener = new Listener()
  return { ...(await backplane.join(bounds, listener)), listener }
}

let count = 0

/** Messages with these bodies. */
export function parcels(...bodies: string[]): Parcel[] {
  return bodies.map((body) => ({ messageId: `publisher:${++count}`, message: { kind: 'event', body } }))
}

export function bodiesOf(entries: readonly BackplaneEntry[]): string[] {
  return entries.map(({ message }) => message.body)
}
