// Events with ascending numbers, so that a test sees gaps and duplicates.

import type { FastifyInstance } from 'fastify'
import type { EventReader, SseEvent } from './event-reader.js'
import type { Served } from './server.js'

/** Broadcasts the events numbered `from` to `to`, in one tick, each with about `size` bytes of data. */
export function broadcastNumbers(app: FastifyInstance, from: number, to: number, size = 0): void {
  for (let n = from; n <= to; n++) app.sse.broadcastMessage(numberedText(n, size))
}

export function numberedText(n: number, size = 0): string {
  return `${n} ${'x'.repeat(size)}`
}

/** NaN of an event that has none, a resync for one. */
export function numberOf(event: SseEvent): number {
  return Number(event.data.split(' ', 1)[0] || Number.NaN)
}

/** Resolves once the client has read up to the event with that number. */
export async function readUpTo(client: EventReader, number: number, ms?: number): Promise<void> {
  await client.until((event) => numberOf(event) === number, ms)
}

export interface Resync {
  reason: string
  missed: number | null
}

export function resyncOf(event: SseEvent): Resync | undefined {
  return event.event === 'resync' ? JSON.parse(event.data) : undefined
}

export interface Account {
  /** Number of the newest event that the client was given, or was told that it missed. */
  last: number
  /** How many it was told that it missed. */
  missed: number
  resyncs: Resync[]
}

/**
 * Goes through what a client was given from the event after number `last` on. Throws where an event comes out of
 * order, twice, or after a gap that no resync before it accounts for to the last event.
 */
export function accountFor(events: readonly SseEvent[], last = 0): Account {
  const account: Account = { last, missed: 0, resyncs: [] }
  for (const event of events) {
    const resync = resyncOf(event)
    if (resync === undefined) {
      const number = numberOf(event)
      if (number !== account.last + 1)
        throw new Error(`event ${account.last} was followed by '${event.data.slice(0, 40)}'`)
      account.last = number
    } else {
      account.resyncs.push(resync)
      account.last += resync.missed ?? Number.NaN
      account.missed += resync.missed ?? Number.NaN
    }
  }
  return account
}

/** As `broadcastNumbers`, but one after another: each only once `reader` has the one before. */
export async function broadcastPaced(
  app: FastifyInstance,
  reader: EventReader,
  from: number,
  to: number
): Promise<void> {
  for (let n = from; n <= to; n++) {
    broadcastNumbers(app, n, n)
    await readUpTo(reader, n)
  }
}

/** Publishes the events 1 to `n`; their ids, with the cursor before them at 0. */
export async function idsOfNumbers({ app, connect }: Served, n: number, idOf?: (n: number) => string | undefined) {
  const witness = await connect()
  const ids = [await witness.waitForId()]
  await witness.close()
  for (let number = 1; number <= n; number++) ids.push(await app.sse.publish(number, { id: idOf?.(number) }))
  return ids
}
