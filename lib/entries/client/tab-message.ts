// The messages between tabs that share a connection.

import type { SseEvent } from './event.js'
import type { ConnectionStatus, Transport } from './status.js'

/** An event as the leader passes it on. */
export interface Shared {
  readonly event: SseEvent
  /** Whether a tab has asked for its topic. If not, the app on the server has subscribed the client to it, and it is for all tabs. */
  readonly isAsked: boolean
}

/** A message, with the id of the tab that has sent it. */
export type Message = { readonly from: string } & (
  | ({ readonly is: 'event' } & Shared)
  /** From the leader: the state of its connection. */
  | { readonly is: 'status'; readonly status: ConnectionStatus; readonly clientId: string | undefined }
  /** The sender is the leader from now on. */
  | { readonly is: 'leader' }
  /** The sender wants to receive events after `cursor`, the last event id that it knows. Its topics may have changed. */
  | { readonly is: 'hello'; readonly cursor: string | undefined }
  /** The leader's answer to tab `to`: it receives `tail`, and then all events after `cursor`. Without a tail it has missed events. */
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

/** A message without its sender. */
export type MessageBody = Message extends infer M ? (M extends Message ? Omit<M, 'from'> : never) : never
