// Events as listeners get them, and their types.

import type { SseEvents } from '../../api/events.js'

/** The events that `declare module 'pylon-sse'` declares. If there are none, any event with any data. */
// biome-ignore lint/suspicious/noExplicitAny: without a declaration nothing is known of the data
export type DeclaredEvents = keyof SseEvents extends never ? Record<string, any> : SseEvents

/** An event. */
export interface SseEvent<Name extends string = string, Data = unknown> {
  /** Its name. `'message'` if it has none, as with EventSource (WHATWG HTML 9.2.6). */
  readonly event: Name
  /** Its data, parsed from JSON; a string if `broadcastMessage` has sent it, or if it is not JSON. */
  readonly data: Data
  /** Its id. Undefined if the server has sent it to this client alone. */
  readonly id: string | undefined
  /** Its topic. Undefined if it was for all clients, or for this one alone. */
  readonly topic: string | undefined
}

/** Data of a `resync`: how many events have been missed, and why. docs/delivery.md explains the reasons. */
export interface Resync {
  /**
   * `'overflow'`: the client was too slow. `'expired'`: it was away for too long. `'unknown'`: the server, or the tab that has the
   * connection, does not know its last event id. `'backplane'`: the engine has lost events.
   */
  readonly reason: 'overflow' | 'expired' | 'unknown' | 'backplane'
  /** The number of events; `null` if unknown. */
  readonly missed: number | null
}

export function resyncEvent(reason: Resync['reason'], missed: number | null, id?: string): SseEvent<'resync', Resync> {
  return { event: 'resync', data: { reason, missed }, id, topic: undefined }
}

/** An event without content, which tells that the connection is alive, and where in the log it is. */
export function keepalive(id?: string): SseEvent {
  return { event: 'keepalive', id, topic: undefined, data: {} }
}

/** Data by event name, with the events of the client itself. */
export type WithOwnEvents<Events> = Events & { resync: Resync }

/** An event of any of the names. */
export type AnyEvent<Events> = {
  [Name in keyof Events & string]: SseEvent<Name, Events[Name]>
}[keyof Events & string]

/** A schema that checks the data of events: any Standard Schema (https://standardschema.dev), of zod, valibot, arktype and others. */
export interface DataSchema<Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly unknown[] }
