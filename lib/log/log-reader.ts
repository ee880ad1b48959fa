// Reads the log for audiences: what is new, and what a client that resumes has missed. The position of one client is in
// cursor.ts.

import type { Audience } from './audience.js'
import { EventChunk } from './chunk.js'
import type { EventLog, Lost, Position } from './event-log.js'
import type { LogEntry } from './log-entry.js'

/**
 * A chunk of at least this size ends with its slab. Bytes. Small enough that the one chunk that a stuck client keeps
 * alive does not matter; large enough that the cost of system calls does not.
 */
const MIN_BYTES = 16 * 1024
/** Maximum size of the cache of chunks, bytes, whatever the number of clients. */
const KEPT_BYTES = 4 * 1024 * 1024
/** Number of events that are searched first for those of an audience. */
const MIN_WINDOW = 256
/** Approximate memory of a cached chunk besides its bytes: of the chunk, and of each of its events. Bytes. */
const CHUNK_OVERHEAD = 512
const EVENT_OVERHEAD = 8

/** Reads the log for audiences, in chunks that all clients at the same cursor share. */
export class LogReader {
  readonly #log: EventLog
  readonly #everyone: Audience
  /** Cached chunks by audience and cursor, the newest last. */
  readonly #kept = new Map<string, EventChunk>()
  #keptBytes = 0

  constructor(log: EventLog, everyone: Audience) {
    this.#log = log
    this.#everyone = everyone
  }

  /**
   * Returns what is new for an audience after the place of its live clients, which have received everything before: events
   * without a topic, and pending events with one of its topics. The log need not be searched. At most some 80 KiB, or one
   * event.
   */
  news(audience: Audience, cursor: number): EventChunk | undefined {
    const { pending } = audience
    let i = pending.length
    while (i > 0 && pending[i - 1]!.seq > cursor) i--
    const hasTopicless = audience.hearsTopicless && this.#log.lastTopicless > cursor
    if (!hasTopicless) {
      if (i === pending.length) return undefined
      // The usual case of an event with a topic. Nobody else needs this chunk.
      if (i === pending.length - 1 && audience.cohortCount === 1) return new EventChunk([pending[i]!], this.#log.head)
    }
    const upcoming = this.#log.topiclessAfter(hasTopicless ? cursor : this.#log.head)
    let topicless = upcoming.next().value as LogEntry | undefined
    if (i === pending.length && topicless !== undefined) {
      // Audiences without events of their own need the same bytes, wherever they were before.
      const from = topicless.seq - 1
      if (audience !== this.#everyone || from !== cursor) return this.news(this.#everyone, from)
    }
    const key = `${audience.number}:${cursor}`
    const kept = this.#kept.get(key)
    if (kept !== undefined && (kept.isFull || kept.to === this.#log.head)) return kept
    const entries: LogEntry[] = []
    let bytes = 0
    let slab: Buffer | undefined
    while (i < pending.length || topicless !== undefined) {
      let entry = pending[i]
      if (topicless !== undefined && (entry === undefined || topicless.seq < entry.seq)) {
        entry = topicless
        topicless = upcoming.next().value as LogEntry | undefined
      } else {
        i++
      }
      if (bytes >= MIN_BYTES && entry!.slab !== slab) {
        return this.#keep(key, new EventChunk(entries, entries.at(-1)!.seq, true))
      }
      slab = entry!.slab
      entries.push(entry!)
      bytes += entry!.size
    }
    // An event without a topic may have left the log before it was offered.
    if (entries.length === 0) return undefined
    const chunk = new EventChunk(entries, this.#log.head)
    // A single cohort asks only once.
    return audience.cohortCount > 1 || audience === this.#everyone ? this.#keep(key, chunk) : chunk
  }

  /**
   * Returns the first chunk of what the log holds for an audience after a cursor, up to `limit`. Chunks end at fixed
   * places of the log, so that clients that started at different cursors soon need the same ones.
   */
  history(audience: Audience, cursor: number, limit: number): EventChunk | undefined {
    const key = `${audience.number}:${cursor}`
    const kept = this.#kept.get(key)
    if (kept !== undefined && (kept.to === limit || (kept.isFull && kept.to < limit))) return kept
    const entries: LogEntry[] = []
    let bytes = 0
    let slab: Buffer | undefined
    for (const entry of this.heard(audience, cursor, limit)) {
      if (bytes >= MIN_BYTES && entry.slab !== slab)
        return this.#keep(key, new EventChunk(entries, entries.at(-1)!.seq, true))
      slab = entry.slab
      entries.push(entry)
      bytes += entry.size
    }
    return entries.length === 0 ? undefined : this.#keep(key, new EventChunk(entries, limit))
  }

  /** The events after a cursor that an audience receives, up to `limit`, in order. */
  *heard(audience: Audience, cursor: number, limit: number): Generator<LogEntry> {
    const log = this.#log
    const lists = log.index.listsOf(audience)
    let from = cursor
    // In windows that grow: a caller may need only the first few events, and the next one may be far away.
    for (let width = MIN_WINDOW; from < limit; width *= 2) {
      const to = Math.min(from + width, limit)
      if (lists.length > to - from) {
        for (let seq = from + 1; seq <= to; seq++) if (audience.hears(log.at(seq))) yield log.at(seq)
      } else {
        const seqs: number[] = []
        for (const list of lists) list.collect(from, to, seqs)
        if (lists.length > 1) seqs.sort((a, b) => a - b)
        for (const seq of seqs) yield log.at(seq)
      }
      from = to
    }
  }

  /**
   * Counts the events after a cursor that an audience receives and the log holds, without those whose `except` names
   * the client.
   */
  count(audience: Audience, cursor: number, clientId: string): number {
    const { head, oldest } = this.#log
    const from = Math.max(cursor, oldest - 1)
    const lists = this.#log.index.listsOf(audience)
    let count = 0
    if (lists.length > head - from) {
      for (let seq = from + 1; seq <= head; seq++) if (audience.hears(this.#log.at(seq))) count++
    } else {
      for (const list of lists) count += list.countAfter(from)
    }
    for (const seq of this.#log.index.exceptingAfter(from, clientId)) if (audience.hears(this.#log.at(seq))) count--
    return count
  }

  /** Returns where a client of an audience resumes if it sends `id` as its last event id. */
  positionOf(id: string, audience: Audience): Position {
    const seq = this.#log.find(id)
    if (seq === undefined) return { lost: 'unknown', missed: null }
    return this.lostAfter(seq, audience) ?? { seq }
  }

  /**
   * Returns what an audience has lost of the events after a cursor; undefined if all of its own events can be replayed,
   * however many others the log has evicted. What is not known counts as lost.
   */
  lostAfter(cursor: number, audience: Audience): Lost | undefined {
    const { index, oldest, oldestCursor } = this.#log
    if (cursor >= oldestCursor) return undefined
    if (cursor < oldest - 1 && cursor < index.knownFrom) return { lost: 'expired', missed: null }
    const from = Math.max(cursor, oldest - 1)
    const held = this.count(audience, from, '')
    const hasDropped = from > cursor && index.hasDropped(audience, cursor)
    if (!hasDropped && held === this.count(audience, oldestCursor, '')) return undefined
    if (!hasDropped) return { lost: 'expired', missed: held }
    const areCounted = audience.hearsTopicless && index.hasDroppedTopiclessOnly(cursor)
    return { lost: 'expired', missed: areCounted ? from - cursor + held : null }
  }

  /** Clears the cache. */
  clear(): void {
    this.#kept.clear()
    this.#keptBytes = 0
  }

  #keep(key: string, chunk: EventChunk): EventChunk {
    this.#forget(key)
    this.#kept.set(key, chunk)
    this.#keptBytes += chunk.size + overhead(chunk)
    while (this.#keptBytes > KEPT_BYTES) this.#forget(this.#kept.keys().next().value!)
    const { oldest } = this.#log
    for (const [key, { entries }] of this.#kept) {
      // No client needs evicted events, and each of them would keep a slab alive.
      if (entries[0]!.seq >= oldest) break
      this.#forget(key)
    }
    return chunk
  }

  #forget(key: string): void {
    const chunk = this.#kept.get(key)
    if (chunk === undefined) return
    this.#keptBytes -= chunk.size + overhead(chunk)
    this.#kept.delete(key)
  }
}

function overhead({ entries }: EventChunk): number {
  return CHUNK_OVERHEAD + entries.length * EVENT_OVERHEAD
}
