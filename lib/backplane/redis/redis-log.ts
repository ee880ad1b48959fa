// The commands on a Redis stream: append, read, load, and check for lost entries. When they are sent is decided in
// redis-streams.ts and writer.ts.

import type { BackplaneEntry, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import type { Continuity } from '../membership.js'
import { decodeMessage, encodeMessage, type StoredMessage } from '../message-codec.js'
import { ReadCount, readNewest } from '../newest-entries.js'
import type { RedisClient } from './client.js'
import { compareEntryIds, idBefore, ORIGIN, parseEntryId } from './entry-id.js'
import { bareError, isReadOnly, isRefusal } from './errors.js'

/** An entry as the driver gives it. Its fields are `null` if it was deleted while it was read. */
type RawEntry = [id: string, fields: string[] | null]

/** How many characters of each field are compared, to tell two entries with the same id apart. */
const COMPARED_LENGTH = 200

/** What XINFO STREAM says of a stream. */
interface Info {
  /** Number of entries in the stream. */
  readonly length: number
  /** Id of the oldest entry in the stream. */
  readonly firstId: string | undefined
  /** The largest id that the stream has given, even if its entry is gone. */
  readonly lastId: string
  /** Number of entries ever added; `undefined` before Redis 7. */
  readonly added: number | undefined
  /** Number of entries that were added and are gone; `undefined` before Redis 7. */
  readonly removed: number | undefined
  /** Whether no entry is gone. */
  readonly isWhole: boolean
}

/** How far a stream was read, with what is needed to tell later whether it is still the same stream. */
export interface Mark {
  /** Id of the last entry that was read; if none was read, the largest id that the stream has given. */
  readonly last: string
  /** The entry's id and the start of its fields, which differ from those of any other entry; `undefined` if there was no entry. */
  readonly identity: string | undefined
  /** Number of entries added up to and including it; NaN if unknown. */
  readonly position: number
}

/** The mark in a stream that has never had an entry. */
export const START: Mark = { last: ORIGIN, identity: undefined, position: Number.NaN }

/** The result of a read. */
export interface Read {
  /** The entries, without those that could not be decoded. */
  readonly entries: BackplaneEntry[]
  /** Where the next read starts. It is past all entries, also those that could not be decoded. */
  readonly mark: Mark
}

/** What is loaded when a process joins, or begins anew after a gap. */
export interface Loaded extends Joined {
  /** Where the next read starts. */
  readonly mark: Mark
  /** Id of the first entry that the stream ever had, if known. */
  readonly first: string | undefined
}

/**
 * The stream under one key: appends entries, reads them, and tells whether any are gone. Commands are in lower case, because not
 * all drivers find the key of a command in upper case.
 */
export class RedisLog {
  readonly #key: string
  readonly #maxLength: number
  readonly #count = new ReadCount(sizeOf)

  /** @param maxLength approximate number of entries that the stream keeps */
  constructor(key: string, maxLength: number) {
    this.#key = key
    this.#maxLength = maxLength
  }

  /**
   * Finds out why the server accepts no entries at all, by adding an entry with the id 0-0, which every stream refuses.
   *
   * @returns `undefined` if the server accepts entries
   */
  async findObstacle(client: RedisClient): Promise<Error | undefined> {
    try {
      await client.call('xadd', this.#key, '0-0', 'm', '')
      /* c8 ignore next 2: every server refuses the id 0-0 */
      return undefined
    } catch (error) {
      const cause = bareError(error)
      return isRefusal(cause) && !isReadOnly(cause) ? undefined : cause
    }
  }

  /** Appends the whole batch, or nothing. @returns the ids of its entries */
  async append(client: RedisClient, batch: readonly Parcel[]): Promise<string[]> {
    const commands = batch.map(({ messageId, message }) => {
      const { labels, body } = encodeMessage(message)
      return ['xadd', this.#key, 'MAXLEN', '~', this.#maxLength, '*', 'm', messageId, 'l', labels, 'b', body]
    })
    /* c8 ignore next: null if a watched key has changed, and no key is watched */
    const results = (await client.multi(commands).exec()) ?? []
    return results.map(([error, id]) => {
      if (error) throw error
      return id as string
    })
  }

  /**
   * Reads the entries after a mark.
   *
   * @param block how long to wait for entries if there are none, ms; 0 not to wait
   * @returns `undefined` if there are none; a `Continuity` other than `whole` if some are gone
   */
  async readAfter(
    client: RedisClient,
    mark: Mark,
    block: number,
    onForeign: BackplaneListener['onForeign']
  ): Promise<Read | Continuity | undefined> {
    const { last, identity, position } = mark
    const count = this.#count.next
    const [reply, before] = (await Promise.all([
      client.call('xread', 'COUNT', count, ...(block > 0 ? ['BLOCK', block] : []), 'STREAMS', this.#key, last),
      // The entry at the mark tells whether this is still the same stream. The server replies to both commands of one
      // connection in order.
      client.call('xrange', this.#key, last, last)
    ])) as [[key: string, entries: RawEntry[]][] | null, RawEntry[]]
    const raw = reply?.[0]?.[1]
    if (raw === undefined || raw.length === 0) return undefined
    this.#count.learn(raw)
    if (before.length === 0 || identityOf(before[0]) !== identity) {
      const continuity = await this.continuityFrom(client, mark, true)
      if (continuity !== 'whole') return continuity
    }
    return { entries: decode(raw, onForeign), mark: markAt(raw.at(-1), last, position + raw.length) }
  }

  /**
   * Finds out whether every entry that ever followed a mark is still in the stream.
   *
   * @param isSameServer whether the connection is the one by which the mark was read
   */
  async continuityFrom(client: RedisClient, mark: Mark, isSameServer: boolean): Promise<Continuity> {
    const { last, identity, position } = mark
    const { firstId, lastId, added, removed, isWhole } = await this.#inform(client)
    const [found] = (await client.call('xrange', this.#key, last, last)) as RawEntry[]
    // Entries are added at the end and trimmed at the start. If the entry at the mark is there, nothing after it is gone.
    if (found !== undefined) return identityOf(found) === identity ? 'whole' : 'lost'
    if (lastId === last) return 'whole'
    /* c8 ignore next 2: Redis 6.2 does not tell how many entries there were */
    if (removed === undefined || added === undefined)
      return last === ORIGIN && isWhole ? 'whole' : isBefore(last, firstId ?? ORIGIN) && !isWhole ? 'trimmed' : 'lost'
    // The stream was trimmed exactly up to the mark. The count alone proves that only if the server is the same.
    if (removed === position && (isSameServer || identity === undefined)) return 'whole'
    const isShort = isBefore(lastId, last) || added < position
    // Trimming removes the oldest entries first.
    return !isShort && removed > 0 && (firstId === undefined || isBefore(last, firstId)) ? 'trimmed' : 'lost'
  }

  /** Loads the newest entries, within the bounds. */
  async load(client: RedisClient, bounds: HistoryBounds, onForeign: BackplaneListener['onForeign']): Promise<Loaded> {
    const { length, lastId, added } = await this.#inform(client)
    const { entries: raw, isAll } = await readNewest<RawEntry>(
      {
        length,
        read: (oldest, count) => {
          const from = oldest === undefined ? '+' : idBefore(parseEntryId(oldest[0])!)
          return client.call('xrevrange', this.#key, from, '-', 'COUNT', count) as Promise<RawEntry[]>
        }
      },
      bounds,
      this.#count
    )
    const first = raw[0]?.[0]
    const last = raw.at(-1)?.[0] ?? lastId
    const isWhole = isAll && (await this.#inform(client)).isWhole
    const late = raw.filter(([id]) => isBefore(lastId, id)).length
    /* c8 ignore next: Redis 6.2 does not tell how many entries there were */
    const position = added !== undefined && (isAll || late < raw.length) ? added + late : Number.NaN
    // Reading needs the right to XREAD. Without it, joining must fail, and not the first read.
    await client.call('xread', 'COUNT', 1, 'STREAMS', this.#key, last)
    const mark = markAt(raw.at(-1), lastId, position)
    return {
      history: decode(raw, onForeign),
      mark,
      first: isWhole ? first : undefined,
      floor: floorOf(first, lastId, isWhole)
    }
  }

  async #inform(client: RedisClient): Promise<Info> {
    try {
      const reply = (await client.call('xinfo', 'STREAM', this.#key)) as unknown[] | Record<string, unknown>
      /* c8 ignore next 4: RESP3 gives an object; Redis 6.2 does not tell how many entries there were */
      const info = Array.isArray(reply) ? fromPairs(reply) : reply
      const {
        length,
        'entries-added': added,
        'first-entry': first
      } = info as {
        length: number
        'entries-added'?: number
        'first-entry': RawEntry | null
      }
      /* c8 ignore next 2: Redis 6.2 does not tell how many entries there were */
      const removed = added === undefined ? undefined : added - length
      const isWhole = removed === undefined ? length < this.#maxLength : removed === 0
      return { length, firstId: first?.[0], lastId: info['last-generated-id'] as string, added, removed, isWhole }
    } catch (error) {
      if (/no such key/.test((error as Error).message))
        return { length: 0, firstId: undefined, lastId: ORIGIN, added: 0, removed: 0, isWhole: true }
      throw error
    }
  }
}

/**
 * The place before the oldest loaded entry. If the stream still has every entry that it ever had, that is the origin: a client
 * that connected before the first entry has missed nothing.
 */
function floorOf(first: string | undefined, lastId: string, isWhole: boolean): string {
  if (first === undefined) return lastId
  return isWhole ? ORIGIN : idBefore(parseEntryId(first)!)
}

function decode(raw: readonly RawEntry[], onForeign: BackplaneListener['onForeign']): BackplaneEntry[] {
  const entries: BackplaneEntry[] = []
  for (const [cursor, fields] of raw) {
    /* c8 ignore next: the entry was deleted while it was read */
    if (fields === null) continue
    const stored = storedIn(fields)
    const message = stored && decodeMessage(stored)
    if (message === undefined) onForeign(cursor, 'it is no message of this version')
    else entries.push({ cursor, messageId: stored!.messageId, at: Number(parseEntryId(cursor)![0]), message })
  }
  return entries
}

/** The message in the fields of an entry. They may be in any order, and other fields are ignored. */
function storedIn(fields: readonly string[]): (StoredMessage & { messageId: string }) | undefined {
  let messageId: string | undefined
  let labels: string | undefined
  let body: string | undefined
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] === 'm') messageId ??= fields[i + 1]
    else if (fields[i] === 'l') labels ??= fields[i + 1]
    else if (fields[i] === 'b') body ??= fields[i + 1]
  }
  if (messageId === undefined || labels === undefined || body === undefined) return undefined
  return { messageId, labels, body }
}

function markAt(entry: RawEntry | undefined, last: string, position: number): Mark {
  return { last: entry?.[0] ?? last, identity: identityOf(entry), position }
}

/** Includes the fields, because after a failover a server whose clock is behind may give the same id again. */
function identityOf(entry: RawEntry | undefined): string | undefined {
  /* c8 ignore next: an entry that was deleted while it was read has no fields */
  return entry && [entry[0], ...(entry[1] ?? []).map((field) => field.slice(0, COMPARED_LENGTH))].join('\n')
}

function sizeOf([, fields]: RawEntry): number {
  /* c8 ignore next: an entry that was deleted while it was read has no fields */
  return (fields ?? []).reduce((sum, field) => sum + Buffer.byteLength(field), 64)
}

function isBefore(a: string, b: string): boolean {
  return compareEntryIds(parseEntryId(a)!, parseEntryId(b)!) < 0
}

function fromPairs(list: readonly unknown[]): Record<string, unknown> {
  const pairs: [string, unknown][] = []
  for (let i = 0; i < list.length; i += 2) pairs.push([list[i] as string, list[i + 1]])
  return Object.fromEntries(pairs)
}
