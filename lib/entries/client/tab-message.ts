import type { SseEvent } from './event.js'
import type { ConnectionStatus, Transport } from './status.js'

// What tabs that share a connection tell each other.

/** An event, and whether a tab has asked for its topic. One that the server has subscribed the client to is heard by all tabs. */
export interface Shared {
  readonly event: SseEvent
  readonly isAsked: boolean
}

/** What tabs tell each other. */
export type Message = { readonly from: string } & (
  | ({ readonly is: 'event' } & Shared)
  /** Of who leads: how its connection does. */
  | { readonly is: 'status'; readonly status: ConnectionStatus; readonly clientId: string | undefined }
  /** It leads from now on. */
  | { readonly is: 'leader' }
  /** Wants to hear: has had the events up to `cursor`, and its topics may have changed. */
  | { readonly is: 'hello'; readonly cursor: string | undefined }
  /** Hears from now on: after `tail`, from `cursor`. Without a tail, nobody knows what it has missed. */
  | {
      readonly is: 'joined'
      readonly clientId: string | undefined
      readonly transport: Transport
      readonly to: string
      readonly cursor: string
      readonly tail: Shared[] | undefined
    }
  | { readonly is: 'ping' | 'pong' | 'bye' }
)
/** A message, without its sender. */
export type Told = Message extends infer M ? (M extends Message ? Omit<M, 'from'> : never) : never
