// Events as a test gets them, and their types.

import type { AnyEvent as AnyOf, DeclaredEvents, Resync, SseEvent } from '../client/event.js'
import type { WireEvent } from './event-record.js'

export type { DeclaredEvents, Resync, SseEvent } from '../client/event.js'

/** Data by event name: the declared ones, `'message'` for events without a name, and `'resync'`. */
export type HeardEvents<Events> = Events & { message: unknown; resync: Resync }

/** The names that `next` takes. */
export type HeardName<Events> = keyof HeardEvents<Events> & string

/** An event with this name. */
export type HeardEvent<Events, Name extends HeardName<Events>> = SseEvent<Name, HeardEvents<Events>[Name]>

/** Any of the events. If none is declared, its data may be anything. */
export type AnyHeardEvent<Events extends object = DeclaredEvents> = string extends keyof Events
  ? // biome-ignore lint/suspicious/noExplicitAny: nothing is known of the data where nothing is declared
    SseEvent<string, any>
  : AnyOf<HeardEvents<Events>>

/** Makes an event as `pylon-sse/client` does: the data is parsed, unless it is text. */
export function heardEvent({ event = 'message', data, id, topic, isText }: WireEvent): SseEvent {
  return { event, data: isText ? data : parse(data), id, topic }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
