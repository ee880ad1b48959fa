// What a client should get, compared with what it got.

import type { SseClient as AppClient } from '../../lib/index.js'
import type { SseEvent } from './event-reader.js'
import { resyncOf } from './numbered.js'
import type { SseClient } from './sse-client.js'

/** What the model expects on a connection, in order. */
export interface Expected {
  /** The event's number: that of the log, or `own` and that of a `send`, or what a resync says. */
  what: string
  /** The subscriptions by which it is heard. When all are taken back before it is written, it may be missing. */
  by: Set<string>
}

/** A connection of a member, and what the model expects on it. */
export interface Connection {
  reader: SseClient
  client: AppClient
  expected: Expected[]
}

/** How far one is in what is expected, and the `send`s among what a resync has passed over: they are not lost. */
interface Place {
  at: number
  owed: string[]
}

/** Throws unless what came is what was expected, but for what a resync tells of, and may be missing. */
export function agree({ reader, expected }: Connection, isWhole: boolean): void {
  // More than one account may do: a client is not told which of what may be missing was among what it missed.
  let places: Place[] = [{ at: 0, owed: [] }]
  for (const event of reader.events) {
    const next = places.flatMap((place) => after(place, event, expected))
    places = [...new Map(next.map((place) => [`${place.at} ${place.owed}`, place])).values()]
    if (places.length === 0) throw new Error(`${describe(event)} is not as expected\n${account(reader, expected)}`)
  }
  const isOver = ({ at, owed }: Place) => owed.length === 0 && expected.slice(at).every(({ by }) => by.size === 0)
  if (isWhole && !places.some(isOver)) throw new Error(`there should be more\n${account(reader, expected)}`)
}

/** The places at which one can be after an event. */
function after({ at, owed }: Place, event: SseEvent, expected: Expected[]): Place[] {
  const what = describe(event)
  if (owed.length > 0) return owed[0] === what ? [{ at, owed: owed.slice(1) }] : []
  const { reason, missed } = resyncOf(event) ?? {}
  const places: Place[] = []
  const sends: string[] = []
  let [required, optional] = [0, 0]
  for (let next = at; next <= expected.length; next++) {
    // Some of those that may be missing may have counted.
    if (reason === 'overflow' && required <= missed! && missed! <= required + optional) {
      places.push({ at: next, owed: [...sends] })
    }
    const item = expected[next]
    if (item === undefined) break
    if (item.what === what && required + sends.length === 0) places.push({ at: next + 1, owed: [] })
    if (item.what.startsWith('own')) sends.push(item.what)
    else if (item.by.size > 0) required++
    else optional++
  }
  return places
}

function describe(event: SseEvent): string {
  const resync = resyncOf(event)
  if (resync !== undefined) return `resync ${resync.reason} ${resync.missed}`
  return event.id === undefined ? JSON.parse(event.data) : event.data.split(' ', 1).join()
}

function account(reader: SseClient, expected: Expected[]): string {
  const all = expected.map(({ what, by }) => (by.size === 0 ? `(${what})` : what))
  return `expected ${all.join(', ')}\ncame     ${reader.events.map(describe).join(', ')}`
}
