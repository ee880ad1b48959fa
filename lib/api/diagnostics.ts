// The messages that a hub publishes on channels of `node:diagnostics_channel`. A channel without a subscriber costs one
// check of a flag. What the metrics make of them is in entries/metrics/.

import { channel } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import type { Sse, SseClient } from './api.js'
import type { DisconnectReason, ResyncReason } from './errors.js'

/** Fields of all messages. */
interface Message {
  /** The hub that the message is about: `app.sse`. */
  readonly sse: Sse
}

/**
 * `pylon-sse:client:connect`: the response headers of a stream have been sent, and `onConnect` has not been called yet.
 */
export interface ConnectMessage extends Message {
  readonly client: SseClient
  readonly request: FastifyRequest
  /**
   * Time from the request to the response headers, ms. If the app has neither a logger nor an `onResponse` hook,
   * Fastify does not measure the time of requests, and this is the time from the end of authentication.
   */
  readonly opening: number
}

/** `pylon-sse:client:replay`: a client is about to get events from before it connected; after `onConnect`. */
export interface ReplayMessage extends Message {
  readonly client: SseClient
  /** Number of events that it receives. 0 for a client that resumes and has missed nothing. */
  readonly events: number
}

/** `pylon-sse:client:disconnect`: a stream has ended; before `onDisconnect`. */
export interface DisconnectMessage extends Message {
  readonly client: SseClient
  readonly reason: DisconnectReason
  /** How long the stream was open, ms. */
  readonly duration: number
}

/** `pylon-sse:client:resync`: a client is told that it has missed events. */
export interface ResyncMessage extends Message {
  readonly client: SseClient
  readonly reason: ResyncReason
  /** Number of events, or `null` if it is not known. */
  readonly missed: number | null
}

/** `pylon-sse:client:drop`: a client has missed events by reading too slowly. `resync` follows when it reads on. */
export interface DropMessage extends Message {
  readonly client: SseClient
  /** Number of events since the last message about this client, from 1. */
  readonly events: number
}

/** `pylon-sse:event:publish`: the log of this process has a new event, broadcast here or by another process. */
export interface PublishMessage extends Message {
  readonly id: string
  /** Its name; `undefined` if it has none. */
  readonly event: string | undefined
  /** `undefined` for an event that goes to all clients. */
  readonly topic: string | undefined
  /** Size of the encoded event, bytes. */
  readonly bytes: number
}

/** `pylon-sse:backplane:state`: the engine has been reached, or can no longer be. */
export interface BackplaneStateMessage extends Message {
  /** `'redis'`, `'nats'`, or what one's own is called. */
  readonly name: string
  readonly connected: boolean
  /** Why the engine cannot be reached, if that is known; `undefined` when the app closes. */
  readonly error: Error | undefined
}

/** `pylon-sse:shard:flush`: a shard has been flushed: its clients have been offered what is new for them. */
export interface FlushMessage extends Message {
  /** Number of clients visited. */
  readonly clients: number
  /** Duration of the flush, ms: the event loop was busy for so long. */
  readonly duration: number
  /** Time from the broadcast of the oldest event in the flush to its end, ms. */
  readonly delay: number
}

/** Messages by the name of their channel. */
export interface SseDiagnostics {
  'pylon-sse:client:connect': ConnectMessage
  'pylon-sse:client:replay': ReplayMessage
  'pylon-sse:client:disconnect': DisconnectMessage
  'pylon-sse:client:resync': ResyncMessage
  'pylon-sse:client:drop': DropMessage
  'pylon-sse:event:publish': PublishMessage
  'pylon-sse:backplane:state': BackplaneStateMessage
  'pylon-sse:shard:flush': FlushMessage
}

const connects = channel('pylon-sse:client:connect')
const replays = channel('pylon-sse:client:replay')
const disconnects = channel('pylon-sse:client:disconnect')
const resyncs = channel('pylon-sse:client:resync')
const drops = channel('pylon-sse:client:drop')
const publishes = channel('pylon-sse:event:publish')
const backplaneStates = channel('pylon-sse:backplane:state')
const flushes = channel('pylon-sse:shard:flush')

/** The line of a frame with the event's name. Lines of data begin with `data: `. */
const NAME_LINE = /^event: (.*)$/m

/**
 * Publishes the messages of one hub. Those from within a flush or an append are published in a microtask: subscribers
 * are code of the app and may broadcast.
 */
export class Diagnostics {
  /** The hub's `app.sse`. Set before a client can connect. */
  sse!: Sse

  connect(client: SseClient, request: FastifyRequest, elapsed: number): void {
    if (!connects.hasSubscribers) return
    const opening = elapsed > 0 ? elapsed : Math.max(0, Date.now() - client.connectedAt.getTime())
    connects.publish({ sse: this.sse, client, request, opening } satisfies ConnectMessage)
  }

  replay(client: SseClient & { readonly lag: number }): void {
    if (!replays.hasSubscribers) return
    const { lag: events } = client
    if (events > 0 || client.resumed) publishSoon(replays, { sse: this.sse, client, events } satisfies ReplayMessage)
  }

  /** @param openedAt when the stream was opened, ms of `performance.now()` */
  disconnect(client: SseClient, reason: DisconnectReason, openedAt: number): void {
    if (!disconnects.hasSubscribers) return
    const duration = Math.max(0, performance.now() - openedAt)
    disconnects.publish({ sse: this.sse, client, reason, duration } satisfies DisconnectMessage)
  }

  resync(client: SseClient, reason: ResyncReason, missed: number | null): void {
    if (resyncs.hasSubscribers) publishSoon(resyncs, { sse: this.sse, client, reason, missed } satisfies ResyncMessage)
  }

  drop(client: SseClient, events: number): void {
    if (drops.hasSubscribers) publishSoon(drops, { sse: this.sse, client, events } satisfies DropMessage)
  }

  publish(entry: { id: string; topic: string | undefined; size: number }, body: string): void {
    if (!publishes.hasSubscribers) return
    const { id, topic, size: bytes } = entry
    const message = { sse: this.sse, id, event: NAME_LINE.exec(body)?.[1], topic, bytes } satisfies PublishMessage
    publishSoon(publishes, message)
  }

  backplaneState(name: string, connected: boolean, error: Error | undefined): void {
    if (!backplaneStates.hasSubscribers) return
    backplaneStates.publish({ sse: this.sse, name, connected, error } satisfies BackplaneStateMessage)
  }

  /** Whether flushes are to be timed. */
  get takesFlushes(): boolean {
    return flushes.hasSubscribers
  }

  flush(clients: number, duration: number, delay: number): void {
    publishSoon(flushes, { sse: this.sse, clients, duration, delay } satisfies FlushMessage)
  }
}

function publishSoon(to: { publish(message: unknown): void }, message: object): void {
  queueMicrotask(() => to.publish(message))
}
