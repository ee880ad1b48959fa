// Reads a stream of NATS from a place on, and notices when the server hangs.

import { randomBytes } from 'node:crypto'
import type { AckPolicy, DeliverPolicy } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import type { Linked } from './link.js'

/** Interval in which an idle server sends a heartbeat, ms. */
const HEARTBEAT = 1000
/** Time without a message or a heartbeat after which the server is considered to hang, ms. */
const SILENCE = 3 * HEARTBEAT
/** Time after which the server deletes the consumer of a process that is gone, ms. */
const INACTIVE = 30_000
const NANOS = 1_000_000
const UNBOUNDED = { ack_policy: 'none' as AckPolicy }
/** The server sends no more messages than may be unacknowledged. None is ever acknowledged, and none is sent again. */
const BOUNDED = { ack_policy: 'all' as AckPolicy, ack_wait: 3_600_000 * NANOS }
/** Start of the reply subject of each message of the stream, by which it would be acknowledged. */
const DELIVERY = '$JS.ACK.'

/** A message of a stream. */
export interface StreamMessage {
  readonly seq: number
  /** When the server received it, ms since 1970. */
  readonly at: number
  /** The same in ns, which distinguishes it from any other message with the same number. */
  readonly nanos: string
  /** How many messages follow it at the moment. */
  readonly pending: number
  readonly data: Uint8Array
}

/** Receives the messages of a stream in order, without gaps (an ordered consumer, NATS ADR-17). After any fault, it ends. */
export class NatsFeed {
  /** Resolves with the reason once the feed has ended. */
  readonly ended: Promise<Error>
  /** How many messages were there when it began. */
  pending = 0
  readonly #linked: Linked
  readonly #stream: string
  readonly #subject: string
  readonly #name = `pylon-sse-${randomBytes(8).toString('hex')}`
  readonly #onMessage: (message: StreamMessage) => void
  readonly #watch: NodeJS.Timeout
  #subscription: { unsubscribe(): void } | undefined
  #setEnded!: (error: Error) => void
  #hasEnded = false
  /** How many messages have come. */
  #count = 0

  constructor(linked: Linked, stream: string, subject: string, onMessage: (message: StreamMessage) => void) {
    this.#linked = linked
    this.#stream = stream
    this.#subject = subject
    this.#onMessage = onMessage
    this.ended = new Promise((resolve) => {
      this.#setEnded = resolve
    })
    this.#watch = setTimeout(() => this.end(new Error(`it has not answered for ${SILENCE} ms`)), SILENCE)
    this.#watch.unref()
  }

  /**
   * Starts with the message `from`, or the first one after it.
   *
   * @param most the number of messages that the server sends at most. Default: no limit
   */
  async begin(from: number, most?: number): Promise<void> {
    const { connection, manager } = this.#linked
    /* c8 ignore next: the driver's options are no part of its types */
    const { inboxPrefix = '_INBOX' } = (connection as { options?: { inboxPrefix?: string } }).options ?? {}
    const inbox = `${inboxPrefix}.${this.#name}`
    try {
      const info = await manager.consumers.add(this.#stream, {
        name: this.#name,
        deliver_subject: inbox,
        filter_subject: this.#subject,
        deliver_policy: 'by_start_sequence' as DeliverPolicy,
        opt_start_seq: from,
        ...(most === undefined ? UNBOUNDED : { ...BOUNDED, max_ack_pending: most }),
        max_deliver: 1,
        flow_control: true,
        idle_heartbeat: HEARTBEAT * NANOS,
        inactive_threshold: INACTIVE * NANOS,
        mem_storage: true,
        num_replicas: 1
      })
      this.pending = info.num_pending + info.delivered.consumer_seq
    } catch (error) {
      this.end(error as Error)
      throw error
    }
    /* c8 ignore next: closed while the server creates the consumer */
    if (this.#hasEnded) return
    this.#watch.refresh()
    // The server sends once there is a subscription. Made earlier, its answer would come behind the messages, too late on a slow network.
    this.#subscription = connection.subscribe(inbox, { callback: (error, message) => this.#receive(error, message) })
  }

  end(error: Error): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    clearTimeout(this.#watch)
    this.#setEnded(error)
    /* c8 ignore next: the connection may be gone before its feed hears of it */
    if (this.#linked.connection.isClosed()) return
    this.#subscription?.unsubscribe()
  }

  /** Ends the feed, and deletes its consumer on the server. */
  async close(): Promise<void> {
    this.end(new Error('it is closed'))
    const { connection, manager } = this.#linked
    if (!connection.isClosed()) await manager.consumers.delete(this.#stream, this.#name).catch(() => {})
  }

  #receive(error: Error | null, message: Msg): void {
    if (this.#hasEnded) return
    if (error) {
      this.end(error)
      return
    }
    this.#watch.refresh()
    const { headers, reply = '' } = message
    // A published message may have the same headers, but is not from the server.
    if (headers !== undefined && headers.code > 0 && !reply.startsWith(DELIVERY)) {
      this.#heed(message)
      return
    }
    // $JS.ACK, domain and account (with newer servers only), stream, consumer, then:
    const tokens = reply.split('.')
    const [, seq, number, nanos = '', pending] = tokens.slice(tokens.length === 9 ? 4 : 6)
    if (Number(number) !== this.#count + 1) {
      this.end(new Error('a message has not arrived'))
      return
    }
    this.#count++
    this.#onMessage({
      seq: Number(seq),
      at: Number(nanos.slice(0, -6)),
      nanos,
      pending: Number(pending),
      data: message.data
    })
  }

  /** Handles what the server sends besides messages: errors, heartbeats and flow control. */
  #heed(message: Msg): void {
    const headers = message.headers!
    const delivered = headers.get('Nats-Last-Consumer')
    const stalled = headers.get('Nats-Consumer-Stalled')
    if (headers.code !== 100) this.end(new Error(headers.description))
    else if (delivered !== '' && Number(delivered) !== this.#count) this.end(new Error('a message has not arrived'))
    // Flow control: the server waits for a reply that what it has sent was read.
    else if (message.reply) message.respond()
    else if (stalled !== '') this.#linked.connection.publish(stalled)
  }
}
