import { randomUUID } from 'node:crypto'
import { Chunk, type ChunkReader } from './chunk.js'
import {
  encodeBody,
  encodeConnected,
  encodeFrame,
  encodeRetry,
  KEEP_ALIVE,
  readEventOptions,
  serializeData
} from './encode.js'
import { type DisconnectReason, InvalidEventError, type ResyncReason } from './errors.js'
import type { EventLog, Position } from './event-log.js'
import type { Counters } from './stats.js'
import { EventStream, type Headers, type Request, type Response, type StreamListener } from './stream.js'

/** A connected client, as the app sees it. */
export interface SseClient {
  /** Unique, not to be guessed, and another one after each reconnection. */
  readonly id: string
  /** `request.ip`; none on a unix socket. */
  readonly ip: string | undefined
  /** When it connected. */
  readonly connectedAt: Date
  /** Whether its stream has ended. */
  readonly closed: boolean
  /** The app's own data about it. */
  state: unknown
  /**
   * Sends an event to this client alone, in order with what it gets from broadcasts: after all that was broadcast
   * before this call. In `onConnect` it comes before all that was broadcast since the client connected. Such an event
   * has no id, and is not replayed.
   *
   * A client that reads too slowly holds at most `queueDepth` such events and `maxEventBytes` of them (always one);
   * past that `overflow` applies.
   *
   * @param data turned into text by `serialize`
   * @param options `event`: the event's name
   * @returns false when the client has gone
   * @throws UnserializableError, InvalidEventError, EventTooLargeError as `broadcast` does
   */
  send(data: unknown, options?: { event?: string | undefined }): boolean
  /** Ends the stream properly. A browser's EventSource reconnects; to keep it out, answer its next request with 204. */
  close(): void
}

/** Limits of a quiet or stuck client, ms; `Infinity` for none. */
export interface CareLimits {
  /** Without a write for so long, it gets a keepalive. */
  readonly keepAliveInterval: number
  /** Without taking bytes for so long, it is cut. */
  readonly stallTimeout: number
}

/** What the clients of a hub have in common. */
export interface ClientContext {
  readonly log: EventLog
  readonly chunks: ChunkReader
  readonly counters: Counters
  readonly queueDepth: number
  readonly overflow: 'drop-oldest' | 'disconnect'
  readonly maxEventBytes: number
  readonly retry: number | undefined
  readonly serialize: (data: unknown) => string
  /** Called once, when a client has its head. */
  onOpen(client: Client): void
  /** Called once for every client, opened or not. */
  onEnd(client: Client, reason: DisconnectReason): void
  /** Called when events were dropped for a slow client. */
  onDrop(client: Client, events: number): void
}

const KEEP_ALIVE_CHUNK = new Chunk([KEEP_ALIVE])

/** An event to one client, sent when the client's cursor has reached `after`. */
interface Direct {
  readonly after: number
  readonly chunk: Chunk
}

/**
 * One connection: a cursor into the log. It owns no queue of events. While its socket is full it is skipped; when it
 * drains, it reads on from its cursor.
 */
export class Client implements SseClient, StreamListener {
  /** Its place in the order of arrival, from 0. */
  readonly number: number
  readonly id = randomUUID()
  readonly ip: string | undefined
  readonly connectedAt = new Date()
  state: unknown

  readonly #context: ClientContext
  readonly #stream: EventStream
  /** `seq` of the newest event that it was given, or was told that it missed. */
  #cursor: number
  /** Whether broadcasts flow: not before `onConnect` is through. */
  #reading = false
  #opened = false
  #ended = false
  /** Whether its socket is full. */
  #isBlocked = false
  /** When it was last seen to have taken bytes, or to have none to take, ms on the clock of `performance.now()`. */
  #takenAt = 0
  /** When it was last written to, same clock. */
  #lastWrite = 0
  /**
   * The head of the log when it stopped keeping up, while it does not: what is older is a replay or a burst it is
   * reading, and does not count as falling behind.
   */
  #behindFrom: number | undefined
  /** Resync that it is still to be told. */
  #resync: { reason: ResyncReason; missed: number | null } | undefined
  readonly #directs: Direct[] = []
  #directBytes = 0
  #onGone: (() => void) | undefined

  constructor(
    context: ClientContext,
    number: number,
    ip: string | undefined,
    position: Position,
    req: Request,
    res: Response
  ) {
    this.#context = context
    this.number = number
    this.ip = ip
    if ('seq' in position) {
      this.#cursor = position.seq
    } else {
      this.#cursor = context.log.head
      this.#resync = { reason: position.lost, missed: position.missed }
    }
    this.#stream = new EventStream(req, res, this)
  }

  /** Whether it has ended, on either side. */
  get closed(): boolean {
    return this.#ended
  }

  /** Whether its connection is through with the stream. */
  get gone(): boolean {
    return this.#stream.gone
  }

  /** Events it is behind the log. */
  get lag(): number {
    return this.#context.log.head - this.#cursor
  }

  /** Takes the response over and sends the head; calls `opened` then, or never, when the client goes before. */
  open(headers: Headers, opened: () => void): void {
    const { log, retry, counters } = this.#context
    // A cursor told before the resync would hide the gap, if the client were cut off between the two.
    const id = this.#resync === undefined ? log.cursorAt(this.#cursor) : undefined
    const first = new Chunk([encodeConnected(retry, id)])
    this.#stream.open(headers, first, () => {
      this.#opened = true
      counters.bytes += first.size
      this.#takenAt = this.#lastWrite = performance.now()
      this.#context.onOpen(this)
      opened()
    })
  }

  /** Lets broadcasts flow, from the cursor on. */
  start(): void {
    if (this.#ended) return
    this.#reading = true
    if (!this.#isBlocked) this.#read(performance.now())
  }

  /** Brings it up to the head of the log, as far as its socket takes the bytes. */
  advance(now: number): void {
    if (this.#isBlocked) this.#checkLag()
    else if (this.#reading) this.#read(now)
  }

  /** Keeps a quiet connection alive, and cuts a stuck one. */
  tend(now: number, { keepAliveInterval, stallTimeout }: CareLimits): void {
    // It may take bytes, if fewer than make it drain.
    if (this.#stream.hasTaken()) this.#takenAt = now
    if (now - this.#takenAt >= stallTimeout) this.#cut('stalled')
    else if (!this.#isBlocked && now - this.#lastWrite >= keepAliveInterval) this.#write(KEEP_ALIVE_CHUNK, now)
  }

  send(data: unknown, options: { event?: string | undefined } = {}): boolean {
    const { event, id } = readEventOptions(options)
    if (id !== undefined) throw new InvalidEventError('id', 'a value', 'nothing: what goes to one client has no id')
    const { serialize, maxEventBytes, queueDepth, log } = this.#context
    const body = encodeBody(serializeData(data, serialize), { event }, maxEventBytes)
    if (this.#ended) return false
    const chunk = new Chunk([encodeFrame(undefined, body)])
    this.#directs.push({ after: this.#reading ? log.head : this.#cursor, chunk })
    this.#directBytes += chunk.size
    if (this.#opened && !this.#isBlocked) this.#read(performance.now())
    let dropped = 0
    while (this.#directs.length > queueDepth || (this.#directs.length > 1 && this.#directBytes > maxEventBytes)) {
      this.#directBytes -= this.#directs.shift()!.chunk.size
      dropped++
    }
    if (dropped > 0) this.#overflow(dropped)
    return !this.#ended
  }

  close(): void {
    this.end('closed')
  }

  /**
   * Ends the stream properly.
   *
   * @param retry reconnection time to leave it with, ms
   */
  end(reason: DisconnectReason, retry?: number): void {
    if (this.#ended) return
    // What was broadcast or sent before belongs to the stream that ends here.
    if (this.#opened && !this.#isBlocked) this.#read(performance.now())
    this.#finish(reason)
    const last = retry === undefined ? undefined : new Chunk([encodeRetry(retry)])
    if (last !== undefined && this.#opened) this.#context.counters.bytes += last.size
    this.#stream.end(last, reason === 'shutdown')
  }

  onDrain(): void {
    if (!this.#isBlocked || this.#ended) return
    this.#isBlocked = false
    this.#read(performance.now())
  }

  onClose(): void {
    this.#finish('disconnected')
    this.#onGone?.()
  }

  /** Resolves when its connection is through with the stream. */
  whenGone(): Promise<void> {
    return new Promise((resolve) => {
      this.#onGone = resolve
    })
  }

  #cut(reason: DisconnectReason): void {
    this.#finish(reason)
    this.#stream.destroy()
  }

  #finish(reason: DisconnectReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#reading = false
    this.#directs.length = 0
    this.#context.onEnd(this, reason)
  }

  #read(now: number): void {
    const { log, chunks, counters } = this.#context
    this.#checkLag()
    while (!this.#ended && !this.#isBlocked) {
      if (this.#resync !== undefined) {
        this.#tellResync(now)
        continue
      }
      const direct = this.#directs[0]
      if (direct !== undefined && this.#cursor >= direct.after) {
        this.#directs.shift()
        this.#directBytes -= direct.chunk.size
        this.#write(direct.chunk, now)
        continue
      }
      const limit = !this.#reading ? this.#cursor : direct === undefined ? log.head : direct.after
      if (this.#cursor >= limit) {
        this.#behindFrom = undefined
        return
      }
      const chunk = chunks.after(this.#cursor, limit)
      this.#cursor = chunk.to
      counters.deliveries += chunk.events
      this.#write(chunk, now)
    }
  }

  #write(chunk: Chunk, now: number): void {
    this.#lastWrite = now
    this.#context.counters.bytes += chunk.size
    if (this.#stream.write(chunk)) return
    this.#isBlocked = true
    this.#behindFrom ??= this.#context.log.head
  }

  /** Moves the cursor on where the client has fallen too far behind, or the log no longer holds what it lacks. */
  #checkLag(): void {
    const { log, queueDepth } = this.#context
    const { head, oldest } = log
    let floor = oldest - 1
    const behind = this.#behindFrom
    if (behind !== undefined && head - Math.max(this.#cursor, behind) > queueDepth)
      floor = Math.max(floor, head - queueDepth)
    if (this.#cursor >= floor) return
    const missed = floor - this.#cursor
    this.#cursor = floor
    this.#overflow(missed)
  }

  #overflow(missed: number): void {
    const { counters, overflow, onDrop } = this.#context
    counters.dropped += missed
    onDrop(this, missed)
    if (overflow === 'disconnect') {
      this.#cut('overflow')
      return
    }
    if (this.#resync === undefined) this.#resync = { reason: 'overflow', missed }
    else if (this.#resync.missed !== null) this.#resync.missed += missed
  }

  #tellResync(now: number): void {
    const { reason, missed } = this.#resync!
    this.#resync = undefined
    this.#context.counters.resyncs[reason]++
    const id = this.#context.log.cursorAt(this.#cursor)
    const body = encodeBody(JSON.stringify({ reason, missed }), { event: 'resync' }, Number.POSITIVE_INFINITY)
    this.#write(new Chunk([encodeFrame(id, body)]), now)
  }
}
