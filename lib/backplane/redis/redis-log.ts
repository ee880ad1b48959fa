import type { BackplaneEntry, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import type { Continuity } from '../membership.js'
import { decodeMessage, encodeMessage, type StoredMessage } from '../message-codec.js'
import { ReadCount, readNewest } from '../newest-entries.js'
import type { RedisClient } from './client.js'
import { compareEntryIds, idBefore, ORIGIN, parseEntryId } from './entry-id.js'
import { bareError, isReadOnly, isRefusal } from './errors.js'

type RawEntry = [id: string, fields: string[] | null]

/** Characters of a field that tell an entry from others. */
const TELLING = 200

/** What a stream says of itself. */
interface Info {
  /** Entries that it has. */
  readonly length: number
  /** Of the oldest entry that it has. */
  readonly firstId: string | undefined
  readonly lastId: string
  /** Entries that it ever had. Redis 6 does not count them. */
  readonly added: number | undefined
  /** Of these, those that it has no more. */
  readonly removed: number | undefined
  /** Whether it still holds every entry it ever had. */
  readonly isWhole: boolean
}

/** How far a stream was read, and what it was then. */
export interface Mark {
  /** Id of the last entry that was read, or that the stream ever had. */
  readonly last: string
  /** Tells that entry from any other; nothing where there was none. */
  readonly identity: string | undefined
  /** Entries that the stream had had up to there; NaN where that is not known. */
  readonly position: number
}

/** Before the first entry of a stream that never had one. */
export const START: Mark = { last: ORIGIN, identity: undefined, position: Number.NaN }

/** Entries as they were read. What cannot be told as one is left out, but counts for the place. */
export interface Read {
  readonly entries: BackplaneEntry[]
  /** Where to read on. */
  readonly mark: Mark
}

/** What was read when a process began, or begins again. */
export interface Loaded extends Joined {
  /** Where to read on. */
  readonly mark: Mark
  /** Id of the first entry that the stream ever had, where that is known. */
  readonly first: string | undefined
}

/** The stream in Redis under one key: appends, reads. In lower case all drivers know where a command has its key. */
export class RedisLog {
  readonly #key: string
  readonly #maxLength: number
  readonly #count = new ReadCount(sizeOf)

  /** @param maxLength entries that the stream keeps, about */
  constructor(key: string, maxLength: number) {
    this.#key = key
    this.#maxLength = maxLength
  }

  /** What keeps the server from taking entries of any kind, if anything does. It is given one that no stream can have. */
  async findObstacle(client: RedisClient): Promise<Error | undefined> {
    try {
      await client.call('xadd', this.#key, '0-0', 'm', '')
      /* c8 ignore next 2: no server takes it */
      return undefined
    } catch (error) {
      const cause = bareError(error)
      return isRefusal(cause) && !isReadOnly(cause) ? undefined : cause
    }
  }

  /** Appends all of them, or none. @returns their ids */
  async append(client: RedisClient, batch: readonly Parcel[]): Promise<string[]> {
    const commands = batch.map(({ messageId, message }) => {
      const { labels, body } = encodeMessage(message)
      return ['xadd', this.#key, 'MAXLEN', '~', this.#maxLength, '*', 'm', messageId, 'l', labels, 'b', body]
    })
    /* c8 ignore next: null, where a watched key has changed; none is watched */
    const results = (await client.multi(commands).exec()) ?? []
    return results.map(([error, id]) => {
      if (error) throw error
      return id as string
    })
  }

  /**
   * What follows a mark, as soon as there is something.
   *
   * @param block how long to wait for it, ms; 0 for not at all
   * @returns nothing where nothing came; where what followed is not all there any more, why
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
      // On the same connection, so that it is answered right after: what the stream was is told by the entry before.
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
   * Whether all that ever followed a mark is still there.
   *
   * @param isSameServer whether the connection is the one that it was read by
   */
  async continuityFrom(client: RedisClient, mark: Mark, isSameServer: boolean): Promise<Continuity> {
    const { last, identity, position } = mark
    const { firstId, lastId, added, removed, isWhole } = await this.#inform(client)
    const [found] = (await client.call('xrange', this.#key, last, last)) as RawEntry[]
    // A log grows at its end, so that an entry which is there proves all that stands before it.
    if (found !== undefined) return identityOf(found) === identity ? 'whole' : 'lost'
    if (lastId === last) return 'whole'
    /* c8 ignore next 2: Redis 6.2 does not tell how many entries there were */
    if (removed === undefined || added === undefined)
      return last === ORIGIN && isWhole ? 'whole' : isBefore(last, firstId ?? ORIGIN) && !isWhole ? 'trimmed' : 'lost'
    // It was trimmed just so far. By the count alone another stream could be taken for this one.
    if (removed === position && (isSameServer || identity === undefined)) return 'whole'
    const isShort = isBefore(lastId, last) || added < position
    // What is trimmed goes from the oldest on.
    return !isShort && removed > 0 && (firstId === undefined || isBefore(last, firstId)) ? 'trimmed' : 'lost'
  }

  /** The newest entries within the bounds. */
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
    // What will be asked from now on, so that it fails now if it may not be.
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
 * The place before the oldest entry: of all that ever were, the origin, where a client is that came before the first
 * of them.
 */
function floorOf(first: string | undefined, lastId: string, isWhole: boolean): string {
  if (first === undefined) return lastId
  return isWhole ? ORIGIN : idBefore(parseEntryId(first)!)
}

function decode(raw: readonly RawEntry[], onForeign: BackplaneListener['onForeign']): BackplaneEntry[] {
  const entries: BackplaneEntry[] = []
  for (const [cursor, fields] of raw) {
    /* c8 ignore next: it was deleted while it was read */
    if (fields === null) continue
    const stored = storedIn(fields)
    const message = stored && decodeMessage(stored)
    if (message === undefined) onForeign(cursor, 'it is no message of this version')
    else entries.push({ cursor, messageId: stored!.messageId, at: Number(parseEntryId(cursor)![0]), message })
  }
  return entries
}

/** Its three fields, in any order; other fields do not matter. */
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

/** The id alone does not do: a server whose clock is behind gives it again. */
function identityOf(entry: RawEntry | undefined): string | undefined {
  /* c8 ignore next: an entry that was deleted meanwhile has no fields */
  return entry && [entry[0], ...(entry[1] ?? []).map((field) => field.slice(0, TELLING))].join('\n')
}

function sizeOf([, fields]: RawEntry): number {
  /* c8 ignore next: an entry that was deleted meanwhile has no fields */
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
