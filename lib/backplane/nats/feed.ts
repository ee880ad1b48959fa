import { randomBytes } from 'node:crypto'
import type { AckPolicy, DeliverPolicy } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import type { Linked } from './link.js'

/** How often the server says that there is nothing, ms. */
const HEARTBEAT = 1000
/** After how long without a word the server is taken to hang, ms. */
const SILENCE = 3 * HEARTBEAT
/** After how long the server forgets a reader that has gone, ms. */
const INACTIVE = 30_000
const NANOS = 1_000_000
const UNBOUNDED = { ack_policy: 'none' as AckPolicy }
/** The server sends no more than may be unacknowledged. Nothing is ever acknowledged, and nothing sent again. */
const BOUNDED = { ack_policy: 'all' as AckPolicy, ack_wait: 3_600_000 * NANOS }
/** Where a message of the stream is acknowledged begins so. */
const DELIVERY = '$JS.ACK.'

/** A message of a stream. */
export interface StreamMessage {
  readonly seq: number
  /** When the server got it, ms since 1970. */
  readonly at: number
  /** The same in ns, which tells it from any other message of the same number. */
  readonly nanos: string
  /** Messages that follow it now. */
  readonly pending: number
  readonly data: Uint8Array
}

/** The messages of a stream from one on, in order, none left out (an ordered consumer, ADR-17). Begun anew after any fault. */
export class NatsFeed {
  /** Resolves with what was wrong when nothing will come any more. */
  readonly ended: Promise<Error>
  /** Messages that were there when it began. */
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
  /** Messages that have come. */
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
   * Begins with the message `from`, or the first after it.
   *
   * @param most messages that the server sends. Default: all, as they come
   */
  async begin(from: number, most?: number): Promise<void> {
    const { connection, manager } = this.#linked
    /* c8 ignore next: the driver's options are no part of its types */
    const { inboxPrefix = '_INBOX' } = (connection as { options?: { inboxPrefix?: string } }).options ?? {}
    const inbox = `${inboxPrefix}.${this.#name}`
    this.#subscription = connection.subscribe(inbox, { callback: (error, message) => this.#receive(error, message) })
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

  /** Tells the server, too. */
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
    // A message that somebody has published may say the same, and is none of the server's words.
    if (headers !== undefined && headers.code > 0 && !reply.startsWith(DELIVERY)) {
      this.#heed(message)
      return
    }
    // $JS.ACK, domain and account where the server is of a newer kind, stream, consumer, then:
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

  /** What the server says beside the messages. */
  #heed(message: Msg): void {
    const headers = message.headers!
    const delivered = headers.get('Nats-Last-Consumer')
    const stalled = headers.get('Nats-Consumer-Stalled')
    if (headers.code !== 100) this.end(new Error(headers.description))
    else if (delivered !== '' && Number(delivered) !== this.#count) this.end(new Error('a message has not arrived'))
    // It waits for a word that what it has sent was read.
    else if (message.reply) message.respond()
    else if (stalled !== '') this.#linked.connection.publish(stalled)
  }
}
