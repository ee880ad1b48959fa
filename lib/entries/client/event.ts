import type { SseEvents } from '../../api/events.js'

// Events as the client gives them, and their types.

/** The events that `declare module 'pylon-sse'` declares; any, where it declares none. */
// biome-ignore lint/suspicious/noExplicitAny: nothing is known of the data where nothing is declared
export type DeclaredEvents = keyof SseEvents extends never ? Record<string, any> : SseEvents

/** An event with its data. */
export interface SseEvent<Name extends string = string, Data = unknown> {
  /** Its name; `'message'` where it has none, as with an EventSource. */
  readonly event: Name
  /** What was broadcast: parsed JSON; a string for what `broadcastMessage` sent. */
  readonly data: Data
  /** Its id; none for what the server sent to this client alone. */
  readonly id: string | undefined
  /** Its topic; none where it went to everyone, or to this client alone. */
  readonly topic: string | undefined
}

/** What has been missed, and why: see docs/delivery.md. */
export interface Resync {
  /** `'overflow'`: too slow; `'expired'`: away for too long; `'unknown'`, `'backplane'`: the server cannot tell. */
  readonly reason: 'overflow' | 'expired' | 'unknown' | 'backplane'
  /** How many events; `null` where nobody knows. */
  readonly missed: number | null
}

export function resyncEvent(reason: Resync['reason'], missed: number | null, id?: string): SseEvent<'resync', Resync> {
  return { event: 'resync', data: { reason, missed }, id, topic: undefined }
}

/** Data by the name of the event, with those that come from the client itself. */
export type WithOwnEvents<Events> = Events & { resync: Resync }

/** Any of the events. */
export type AnyEvent<Events> = {
  [Name in keyof Events & string]: SseEvent<Name, Events[Name]>
}[keyof Events & string]

/** What is checked of data that come: any Standard Schema (https://standardschema.dev), of zod, valibot, arktype and others. */
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
