import { channel } from 'node:diagnostics_channel'
import type { FastifyRequest } from 'fastify'
import type { Sse, SseClient } from './api.js'
import type { DisconnectReason, ResyncReason } from './errors.js'

// What the hub tells on the channels of `node:diagnostics_channel`. A channel without a subscriber costs one look at a flag.

/** What all messages have. */
interface Message {
  /** The hub that it is about: `app.sse`. */
  readonly sse: Sse
}

/** `pylon-sse:client:connect`: the head of a stream is out, and `onConnect` has not been called yet. */
export interface ConnectMessage extends Message {
  readonly client: SseClient
  readonly request: FastifyRequest
  /**
   * From the request to the head of the stream, ms. From the end of authentication, where nothing in the app has Fastify take
   * the time of requests: neither a logger nor an `onResponse` hook.
   */
  readonly opening: number
}

/** `pylon-sse:client:replay`: a client is about to read events that were there before it; after `onConnect`. */
export interface ReplayMessage extends Message {
  readonly client: SseClient
  /** Events, of those that it hears. 0 for one that came back and has missed nothing. */
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
  /** Events, or `null` where nobody knows. */
  readonly missed: number | null
}

/** `pylon-sse:client:drop`: a client has missed events by reading too slowly. `resync` follows when it reads on. */
export interface DropMessage extends Message {
  readonly client: SseClient
  /** Events, beside those told before. From 1. */
  readonly events: number
}

/** `pylon-sse:event:publish`: the log of this process has a new event, broadcast here or by another process. */
export interface PublishMessage extends Message {
  readonly id: string
  /** Its name; `undefined` for one without. */
  readonly event: string | undefined
  /** `undefined` for one that goes to everyone. */
  readonly topic: string | undefined
  /** Bytes of the encoded event. */
  readonly bytes: number
}

/** `pylon-sse:backplane:state`: the engine has come within reach, or is out of it. */
export interface BackplaneStateMessage extends Message {
  /** `'redis'`, `'nats'`, or what one's own is called. */
  readonly name: string
  readonly connected: boolean
  /** Why it is out of reach, where that is known; `undefined` when the app closes. */
  readonly error: Error | undefined
}

/** `pylon-sse:shard:flush`: the clients of a shard have been given what is new for them. */
export interface FlushMessage extends Message {
  /** Clients visited. */
  readonly clients: number
  /** Time of the flush itself, ms: the event loop was busy for so long. */
  readonly duration: number
  /** From the broadcast of the oldest event in it to the end of the flush, ms. */
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

/** The line that names an event; lines of data begin otherwise. */
const NAME_LINE = /^event: (.*)$/m

/**
 * Tells what happens in one hub. What happens amid a flush or an append is told in a microtask: subscribers are code of the app,
 * and may broadcast.
 */
export class Diagnostics {
  /** Of the hub. Set before anybody can connect. */
  sse!: Sse

  connect(client: SseClient, request: FastifyRequest, elapsed: number): void {
    if (!connects.hasSubscribers) return
    const opening = elapsed > 0 ? elapsed : Math.max(0, Date.now() - client.connectedAt.getTime())
    connects.publish({ sse: this.sse, client, request, opening } satisfies ConnectMessage)
  }

  replay(client: SseClient & { readonly lag: number }): void {
    if (!replays.hasSubscribers) return
    const { lag: events } = client
    if (events > 0 || client.resumed) tellSoon(replays, { sse: this.sse, client, events } satisfies ReplayMessage)
  }

  /** @param openedAt on the clock of `performance.now()`, ms */
  disconnect(client: SseClient, reason: DisconnectReason, openedAt: number): void {
    if (!disconnects.hasSubscribers) return
    const duration = Math.max(0, performance.now() - openedAt)
    disconnects.publish({ sse: this.sse, client, reason, duration } satisfies DisconnectMessage)
  }

  resync(client: SseClient, reason: ResyncReason, missed: number | null): void {
    if (resyncs.hasSubscribers) tellSoon(resyncs, { sse: this.sse, client, reason, missed } satisfies ResyncMessage)
  }

  drop(client: SseClient, events: number): void {
    if (drops.hasSubscribers) tellSoon(drops, { sse: this.sse, client, events } satisfies DropMessage)
  }

  publish(entry: { id: string; topic: string | undefined; size: number }, body: string): void {
    if (!publishes.hasSubscribers) return
    const { id, topic, size: bytes } = entry
    const message = { sse: this.sse, id, event: NAME_LINE.exec(body)?.[1], topic, bytes } satisfies PublishMessage
    tellSoon(publishes, message)
  }

  backplaneState(name: string, connected: boolean, error: Error | undefined): void {
    if (!backplaneStates.hasSubscribers) return
    backplaneStates.publish({ sse: this.sse, name, connected, error } satisfies BackplaneStateMessage)
  }

  /** Whether the time of flushes is to be taken. */
  get takesFlushes(): boolean {
    return flushes.hasSubscribers
  }

  flush(clients: number, duration: number, delay: number): void {
    tellSoon(flushes, { sse: this.sse, clients, duration, delay } satisfies FlushMessage)
  }
}

function tellSoon(to: { publish(message: unknown): void }, message: object): void {
  queueMicrotask(() => to.publish(message))
}
