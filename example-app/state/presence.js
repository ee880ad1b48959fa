// Who is in which room.

/** Shortest time between two reports of this process, and the longest, ms. */
const SHORTEST = 250
const LONGEST = 10_000
/** A process that has not reported for so long is gone, ms. */
const PATIENCE = 30_000

/** Who is in which room, by the clients of all processes. The database tells each room of its people when they change. */
export class Presence {
  #database
  #processId
  #onError
  /** The clients of this process, by id. */
  #clients = new Map()
  #timer
  #reporting = Promise.resolve()
  #hasReported = false
  #closed = false

  /**
   * @param {import('../database/database.js').Database} database
   * @param {{ processId: string, onError: (error: Error) => void }} options `processId`: what tells this process from others
   */
  constructor(database, { processId, onError }) {
    this.#database = database
    this.#processId = processId
    this.#onError = onError
    this.#reportIn(LONGEST)
  }

  /** @param {{ id: string, user: string }} client */
  enter(room, { id, user }) {
    this.#clients.set(id, { room, user })
    this.#reportIn(SHORTEST)
  }

  leave(clientId) {
    if (this.#clients.delete(clientId)) this.#reportIn(SHORTEST)
  }

  /** The names of the people in a room, each once even with several tabs. */
  async in(room) {
    const rows = await this.#database.query('select distinct person from board.visitors where room = $1', [room])
    const here = [...this.#clients.values()].filter((client) => client.room === room)
    const names = new Set([...rows.map(({ person }) => person), ...here.map(({ user }) => user)])
    return [...names].sort((one, other) => one.localeCompare(other))
  }

  /** Takes the clients of this process off. */
  async close() {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#clients.clear()
    await this.#reporting
    if (this.#hasReported) await this.#report()
  }

  #reportIn(ms) {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#reporting = this.#report().then(() => this.#reportIn(LONGEST))
    }, ms).unref()
  }

  /** Tells the database which clients this process has. One that is out of reach is told the next time. */
  async #report() {
    const clients = [...this.#clients]
    try {
      await this.#database.query(
        `with mine as (select * from unnest($2::uuid[], $3::text[], $4::text[]) as m (client, room, person)),
        gone as (
          delete from board.visitors v
          where (process = $1 and not exists (select from mine m where m.client = v.client))
            or seen_at < clock_timestamp() - $5 * interval '1 ms'
        )
        insert into board.visitors (client, room, person, process)
        select client, room, person, $1 from mine where exists (select from board.rooms r where r.name = room)
        on conflict (client) do update set seen_at = clock_timestamp()`,
        [
          this.#processId,
          clients.map(([id]) => id),
          clients.map(([, { room }]) => room),
          clients.map(([, { user }]) => user),
          PATIENCE
        ]
      )
      this.#hasReported = true
    } catch (error) {
      this.#onError(error)
    }
  }
}

/** Takes the clients of a process off that has exited. */
export async function removeVisitorsOf(database, processId) {
  await database.query('delete from board.visitors where process = $1', [processId])
}
