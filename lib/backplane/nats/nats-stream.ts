// The stream of NATS that holds the log: creating, checking, appending, and reading ranges.

import type { DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import { pause } from '../backoff.js'
import type { BackplaneEntry, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import { packBatch, unpackBatch } from './batch-codec.js'
import { NatsFeed, type StreamMessage } from './feed.js'
import type { Linked } from './link.js'
import { epochOf, streamCursor } from './stream-cursor.js'

/** How much of the history is read at once, in messages and about how many bytes: heartbeats wait behind it. */
const CHUNK = 1000
const CHUNK_BYTES = 512 * 1024
/** Largest size of the headers of a message, bytes. */
const HEADERS = 512
/** How often the server is asked again about a stream that it is still creating, and the pause before each time, ms. */
const CREATING_CHECKS = 100
const CREATING_PAUSE = 20

export interface NatsStreamOptions {
  stream: string
  subject: string
  maxMessages: number
  maxBytes: number
  replicas: number | undefined
}

/** An entry that was appended. */
export interface Appended {
  readonly cursor: string
  /** Number of the message that holds it. */
  readonly seq: number
  /** False if an earlier attempt had appended it already. */
  readonly isNew: boolean
}

/** What was read when a process began, or began anew. */
export interface Loaded extends Joined {
  readonly epoch: string
  /** Number of the message to read on from. */
  readonly next: number
  /** When the server received the message before that, ns since 1970. */
  readonly nanos: string
}

/** Thrown if the configuration of the stream is unsuitable. Says what is wrong. */
export class StreamConfigError extends Error {
  override readonly name = 'StreamConfigError'
}

/** The stream in NATS. */
export class NatsStream {
  readonly #options: NatsStreamOptions
  /** Largest size of a message of the stream, bytes. */
  #maxMessageSize = Number.POSITIVE_INFINITY

  constructor(options: NatsStreamOptions) {
    this.#options = options
  }

  /** Asks the server about the stream, and creates it if there is none. @throws StreamConfigError */
  async inform(linked: Linked): Promise<StreamInfo> {
    const { stream, subject } = this.#options
    let info = await this.#findOrCreate(linked)
    for (let i = 0; i < CREATING_CHECKS && isBeingCreated(info); i++) {
      await pause(CREATING_PAUSE)
      info = await this.#findOrCreate(linked)
    }
    const wrong = faultsOf(info.config, subject)
    if (wrong.length > 0) throw new StreamConfigError(`its stream ${stream} does not serve: ${wrong.join('; ')}`)
    const { max_msg_size: size } = info.config
    this.#maxMessageSize = size > 0 ? size : Number.POSITIVE_INFINITY
    return info
  }

  #findOrCreate({ manager }: Linked): Promise<StreamInfo> {
    const { stream, subject, maxMessages, maxBytes, replicas } = this.#options
    const inform = () => manager.streams.info(stream)
    const create = () =>
      manager.streams.add({
        name: stream,
        subjects: [subject],
        retention: 'limits' as RetentionPolicy,
        discard: 'old' as DiscardPolicy,
        storage: 'file' as StorageType,
        max_msgs: maxMessages,
        max_bytes: maxBytes,
        /* c8 ignore next: replicas need a cluster */
        ...(replicas !== undefined && { num_replicas: replicas })
      })
    return inform().catch(async (error: Error) => {
      if (error.name !== 'StreamNotFoundError') throw error
      return create().catch((error: Error) =>
        // Another process may have created it meanwhile, with other bounds.
        inform().catch(() => {
          throw error
        })
      )
    })
  }

  /**
   * Appends a batch, as one message if it fits: only for a single message does JetStream promise that it is stored whole or not at
   * all, and that later ones follow it.
   *
   * @returns the places
   * @throws TooLargeError
   */
  async append({ connection, client }: Linked, batch: readonly Parcel[], epoch: string): Promise<Appended[]> {
    const { stream, subject } = this.#options
    /* c8 ignore next: a server tells its bound when it is connected to */
    const { max_payload: maxPayload = 1024 * 1024 } = connection.info ?? {}
    const packs = packBatch(batch, Math.min(maxPayload, this.#maxMessageSize) - HEADERS)
    const appended: Appended[] = []
    for (const { parcels, bytes } of packs) {
      // Another attempt may have more events, or fewer.
      const msgID = `${parcels[0]!.messageId} ${parcels.at(-1)!.messageId} ${parcels.length}`
      const { seq, duplicate } = await client.publish(subject, bytes, { msgID, expect: { streamName: stream } })
      for (const place of parcels.keys())
        appended.push({ cursor: streamCursor(epoch, seq, place + 1), seq, isNew: !duplicate })
    }
    return appended
  }

  /** Creates a feed of the messages. It has yet to be begun. */
  feed(linked: Linked, onMessage: (message: StreamMessage) => void): NatsFeed {
    const { stream, subject } = this.#options
    return new NatsFeed(linked, stream, subject, onMessage)
  }

  /** The newest entries within the bounds. */
  async load(
    linked: Linked,
    info: StreamInfo,
    bounds: HistoryBounds,
    onForeign: BackplaneListener['onForeign']
  ): Promise<Loaded> {
    const { first_seq: oldest, last_seq: newest, messages, bytes } = info.state
    const epoch = epochOf(info)
    const average = Math.max(1, bytes / Math.max(1, messages))
    /* c8 ignore next: streams limit their consumers since nats-server 2.10 */
    const most = Math.min(CHUNK, info.config.consumer_limits?.max_ack_pending || CHUNK)
    const chunks: BackplaneEntry[][] = []
    let { events: eventsLeft, bytes: bytesLeft } = bounds
    let to = newest
    let before: string | undefined
    let hasAny = false
    // Entries that are skipped count as well, so that a stream of nothing else is not read to its end.
    const passOver: BackplaneListener['onForeign'] = (cursor, reason) => {
      eventsLeft--
      onForeign(cursor, reason)
    }
    // Reads an empty range, so that a user without the right to read gets the error now.
    if (messages === 0) await this.#readRange(linked, newest + 1, newest + 1)
    while (before === undefined && eventsLeft > 0 && messages > 0 && to >= oldest) {
      const count = Math.max(1, Math.min(most, eventsLeft, Math.ceil(Math.min(CHUNK_BYTES, bytesLeft) / average)))
      const from = Math.max(oldest, to - count + 1)
      const chunk: BackplaneEntry[] = []
      for (const message of (await this.#readRange(linked, from, to)).reverse()) {
        const entries = entriesOf(message, epoch, passOver)
        if (entries.length === 0) bytesLeft -= message.data.length
        for (const entry of entries.reverse()) {
          bytesLeft -= entry.size
          // At least one entry, as the log keeps at least one.
          if (before === undefined && ((eventsLeft > 0 && bytesLeft >= 0) || !hasAny)) {
            hasAny = true
            eventsLeft--
            chunk.push(entry)
          } else before ??= entry.cursor
        }
      }
      chunks.push(chunk.reverse())
      to = from - 1
    }
    const history = chunks.reverse().flat()
    return {
      epoch,
      next: newest + 1,
      nanos: lastNanos(info),
      history,
      floor: before ?? streamCursor(epoch, to + 1, 0)
    }
  }

  /** Reads the messages of a range that are still there. */
  async #readRange(linked: Linked, from: number, to: number): Promise<StreamMessage[]> {
    const messages: StreamMessage[] = []
    let setDone: () => void
    const done = new Promise<void>((resolve) => {
      setDone = resolve
    })
    const feed = this.feed(linked, (message) => {
      if (message.seq <= to) messages.push(message)
      if (message.seq >= to || message.pending === 0) setDone()
    })
    await feed.begin(from, to - from + 1)
    if (feed.pending === 0) setDone!()
    const error = await Promise.race([done, feed.ended])
    void feed.close()
    /* c8 ignore next: the connection may break while the history is read */
    if (error) throw error
    return messages
  }
}

/** The entries of a message. */
export function entriesOf(
  { seq, at, data }: StreamMessage,
  epoch: string,
  onForeign: BackplaneListener['onForeign']
): (BackplaneEntry & { size: number })[] {
  const entries: (BackplaneEntry & { size: number })[] = []
  for (const [i, parcel] of unpackBatch(data).entries()) {
    const cursor = streamCursor(epoch, seq, i + 1)
    if (parcel === undefined) onForeign(cursor, 'it is no message of this version')
    else entries.push({ ...parcel, at, cursor })
  }
  return entries
}

/** When the server received the newest message that the stream has or had, ns since 1970. */
export function lastNanos({ state: { last_ts } }: StreamInfo): string {
  const seconds = Math.floor(Date.parse(last_ts) / 1000)
  const [, fraction = ''] = /\.(\d+)/.exec(last_ts) ?? []
  return `${seconds}${fraction.padEnd(9, '0')}`
}

/**
 * Whether the server has not set the time of the stream's creation yet. Until then it says the year 1, to any process that asks while
 * another one creates the stream.
 */
function isBeingCreated({ created }: StreamInfo): boolean {
  return Date.parse(created) < 0
}

/** Says what is unsuitable in the configuration of a stream. Its other limits may differ from the options. */
function faultsOf(config: StreamConfig, subject: string): string[] {
  const { subjects = [], retention, discard, max_msgs, max_bytes, max_age, no_ack, sealed, mirror } = config
  const faults: string[] = []
  if (mirror) faults.push('it is a mirror, which takes no messages')
  else if (!subjects.some((pattern) => covers(pattern, subject)))
    faults.push(`its subjects are ${subjects.map((each) => `'${each}'`).join(', ')}, not '${subject}'`)
  if (retention !== 'limits') faults.push(`its retention is '${retention}', not 'limits'`)
  if (discard !== 'old')
    faults.push(`its discard policy is '${discard}', not 'old', so that it refuses events once it is full`)
  if (!(max_msgs > 0 || max_bytes > 0 || max_age > 0)) faults.push('it has no limits (max_msgs, max_bytes, max_age)')
  if (no_ack) faults.push('it does not acknowledge messages (no_ack)')
  /* c8 ignore next: a stream is sealed by hand, for ever */
  if (sealed) faults.push('it is sealed')
  return faults
}

/** Whether a pattern matches a subject. */
function covers(pattern: string, subject: string): boolean {
  const [patterns, tokens] = [pattern.split('.'), subject.split('.')]
  for (const [i, each] of patterns.entries()) {
    if (each === '>') return tokens.length > i
    if (each !== '*' && each !== tokens[i]) return false
  }
  return patterns.length === tokens.length
}
