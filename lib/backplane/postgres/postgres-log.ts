// The queries on the log in Postgres: append, read, load, trim. Its tables and functions are in log-schema.ts.

import type { BackplaneEntry, BackplaneListener, HistoryBounds, Joined, Parcel } from '../backplane.js'
import type { Continuity } from '../membership.js'
import { ReadCount, readNewest } from '../newest-entries.js'
import type { Connection, Row } from './connection.js'
import { logCursor } from './log-cursor.js'
import { decodeRow, encodeRows } from './stored-message.js'

/** A place after all entries. */
const END = Number.MAX_SAFE_INTEGER

/** How far the log was read, with what is needed to tell later whether it is still the same log. */
export interface Mark {
  readonly epoch: string
  readonly place: number
  /** Message id and labels of the entry at this place, to tell it from any other; `undefined` if there was none. */
  readonly identity: string | undefined
}

/** The result of a read. */
export interface Read {
  /** The entries, without those that could not be decoded. */
  readonly entries: BackplaneEntry[]
  /** Where the next read starts. It is past all entries, also those that could not be decoded. */
  readonly mark: Mark
  /** Whether the read returned as many entries as it may, so that there may be more. */
  readonly isFull: boolean
}

/** What is loaded when a process joins, or begins anew after a gap. */
export interface Loaded extends Joined {
  /** Where the next read starts. */
  readonly mark: Mark
}

/** The log in the tables of one schema: appends entries, reads them, and tells whether any are gone. */
export class PostgresLog {
  readonly #schema: string
  readonly #count = new ReadCount(sizeOf)

  constructor(schema: string) {
    this.#schema = schema
  }

  /** Appends the whole batch, or nothing. @returns the cursors of its entries */
  async append(connection: Connection, batch: readonly Parcel[]): Promise<string[]> {
    const [row] = await connection.query(
      `select ${this.#schema}.append($1::text[], $2::text[], $3::text[]) as last`,
      encodeRows(batch)
    )
    const [epoch, last] = row!.last!.split('-') as [string, string]
    return batch.map((_parcel, i) => logCursor(epoch, Number(last) - batch.length + 1 + i))
  }

  /** Reads the entries after a mark. @returns a `Continuity` other than `whole` if some are gone */
  async readAfter(
    connection: Connection,
    mark: Mark,
    onForeign: BackplaneListener['onForeign']
  ): Promise<Read | Continuity> {
    const s = this.#schema
    const count = this.#count.next
    // One statement reads the entry at the mark and those after it, so that both are of one snapshot.
    const rows = await connection.query(
      `(select null as place, s.epoch as message, e.message || ' ' || e.labels as labels, s.trimmed_entry as body,
          s.trimmed::text as at
        from ${s}.state s
        left join (select * from ${s}.commits where seq >= $1::bigint order by seq limit 1) c on true
        left join ${s}.events e on e.tx = c.tx and e.k = $1::bigint - c.seq + c.count)
      union all
      (select (c.seq - c.count + e.k)::text, e.message, e.labels, e.body,
          (extract(epoch from c.at) * 1000)::bigint::text
        from ${s}.commits c cross join lateral (
          select * from ${s}.events where tx = c.tx and k > $1::bigint - c.seq + c.count order by k limit $2::integer
        ) e where c.seq > $1::bigint order by c.seq, e.k limit $2::integer)`,
      [mark.place, count]
    )
    const state = rows.find(({ place }) => place === null)
    const continuity = continuityFrom(mark, state)
    if (continuity !== 'whole') return continuity
    const raw = rows.filter(({ place }) => place !== null)
    if (raw.length > 0) this.#count.learn(raw)
    return {
      entries: decode(raw, mark.epoch, onForeign),
      mark: markAt(raw.at(-1), mark),
      isFull: raw.length === count
    }
  }

  /** Loads the newest entries, within the bounds. */
  async load(
    connection: Connection,
    bounds: HistoryBounds,
    onForeign: BackplaneListener['onForeign']
  ): Promise<Loaded> {
    const s = this.#schema
    const [state] = await connection.query(
      `select epoch, trimmed::text, trimmed_entry,
        (select max(seq)::text from ${s}.commits) as newest, (select min(seq - count)::text from ${s}.commits) as oldest
        from ${s}.state`
    )
    const { epoch, trimmed, trimmed_entry: trimmedEntry, newest, oldest } = state as Record<string, string>
    const { entries: raw, isAll } = await readNewest<Row>(
      {
        length: Number(newest) - Number(oldest),
        read: (from, count) => this.#readBefore(connection, from === undefined ? END : Number(from.place), count)
      },
      bounds,
      this.#count
    )
    // Used if no entry was loaded: reading starts after the newest entry, or where the log was trimmed.
    const start: Mark =
      newest === null
        ? { epoch: epoch!, place: Number(trimmed), identity: trimmedEntry ?? undefined }
        : await this.#markOf(connection, epoch!, Number(newest))
    const first = raw[0]
    const floor = first === undefined ? start.place : isAll ? Number(trimmed) : Number(first.place) - 1
    return {
      history: decode(raw, epoch!, onForeign),
      mark: markAt(raw.at(-1), start),
      floor: logCursor(epoch!, floor)
    }
  }

  /** Deletes up to `batch` of the oldest entries beyond the bounds. @returns approximately how many */
  async trim(connection: Connection, maxEvents: number, maxAge: number | undefined, batch: number): Promise<number> {
    const [row] = await connection.query(
      `select ${this.#schema}.trim($1::bigint, $2::integer * interval '1 ms', $3::integer)::text as gone`,
      [maxEvents, maxAge ?? null, batch]
    )
    return Number(row!.gone)
  }

  async #markOf(connection: Connection, epoch: string, place: number): Promise<Mark> {
    const [row] = await this.#readBefore(connection, place + 1, 1)
    return { epoch, place, identity: row && identityOf(row) }
  }

  /** The newest entries before a place, newest first. */
  #readBefore(connection: Connection, place: number, count: number): Promise<Row[]> {
    const s = this.#schema
    return connection.query(
      `select (c.seq - c.count + e.k)::text as place, e.message, e.labels, e.body,
          (extract(epoch from c.at) * 1000)::bigint::text as at
        from ${s}.commits c cross join lateral (
          select * from ${s}.events where tx = c.tx and k < $1::bigint - c.seq + c.count order by k desc limit $2::integer
        ) e
        where c.seq <= coalesce((select seq from ${s}.commits where seq >= $1::bigint order by seq limit 1), $1::bigint)
        order by c.seq desc, e.k desc limit $2::integer`,
      [place, count]
    )
  }
}

/** Compares a mark with the row of the state. @param state `undefined` if the row is gone */
function continuityFrom({ epoch, place, identity }: Mark, state: Row | undefined): Continuity {
  if (state?.message !== epoch) return 'lost'
  if (state.labels !== null) return state.labels === identity ? 'whole' : 'lost'
  // The entry at the mark was trimmed, or is lost.
  const trimmed = Number(state.at)
  if (trimmed === place) return identity === undefined || state.body === identity ? 'whole' : 'lost'
  return trimmed > place ? 'trimmed' : 'lost'
}

function decode(raw: readonly Row[], epoch: string, onForeign: BackplaneListener['onForeign']): BackplaneEntry[] {
  const entries: BackplaneEntry[] = []
  for (const { place, message: messageId, labels, body, at } of raw as Record<string, string>[]) {
    const cursor = logCursor(epoch, Number(place))
    const message = decodeRow({ labels: labels!, body: body! })
    if (message === undefined) onForeign(cursor, 'it is no message of this version')
    else entries.push({ cursor, messageId: messageId!, at: Number(at), message })
  }
  return entries
}

function markAt(row: Row | undefined, before: Mark): Mark {
  return row === undefined ? before : { epoch: before.epoch, place: Number(row.place), identity: identityOf(row) }
}

function identityOf({ message, labels }: Row): string {
  return `${message} ${labels}`
}

function sizeOf({ message, labels, body }: Row): number {
  return Buffer.byteLength(`${message}${labels}${body}`) + 64
}
