// Who is in which room.

/** The time from a change to the report of it, and from one report to the next without a change, ms. */
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
  /** When the timer ends, ms. */
  #dueAt = Infinity
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
    if (this.#hasReported) await removeProcess(this.#database, this.#processId).catch(this.#onError)
  }

  /** Reports after this time, or earlier if that is due already. */
  #reportIn(ms) {
    const dueAt = performance.now() + ms
    if (this.#closed || dueAt >= this.#dueAt) return
    this.#dueAt = dueAt
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#dueAt = Infinity
      this.#reporting = this.#reporting.then(() => this.#report()).then(() => this.#reportIn(LONGEST))
    }, ms).unref()
  }

  /** Tells the database which clients this process has. One that is out of reach is told the next time. */
  async #report() {
    try {
      while (!(await this.#tell())) await this.#register()
      this.#hasReported = true
      await this.#removeSilentProcesses()
    } catch (error) {
      this.#onError(error)
    }
  }

  /** Also for a process that the others took for gone, since it stood still. */
  async #register() {
    await this.#database.query('insert into board.processes values ($1) on conflict (id) do nothing', [this.#processId])
  }

  /** @returns whether the database knows this process */
  async #tell() {
    const clients = [...this.#clients]
    const known = await this.#database.query(
      `with me as (update board.processes set seen_at = clock_timestamp() where id = $1 returning id),
      mine as (select * from unnest($2::uuid[], $3::text[], $4::text[]) as m (client, room, person)),
      gone as (
        delete from board.visitors v
        where process = $1 and not exists (select from mine m where m.client = v.client)
      ),
      come as (
        insert into board.visitors (client, room, person, process)
        select client, room, person, me.id from mine, me where exists (select from board.rooms r where r.name = room)
        on conflict (client) do nothing
      )
      select from me`,
      [
        this.#processId,
        clients.map(([id]) => id),
        clients.map(([, { room }]) => room),
        clients.map(([, { user }]) => user)
      ]
    )
    return known.length > 0
  }

  async #removeSilentProcesses() {
    await this.#database.query(
      `delete from board.processes where id in (
        select id from board.processes where seen_at < clock_timestamp() - $1 * interval '1 ms' for update skip locked
      )`,
      [PATIENCE]
    )
  }
}

/** Takes the clients of a process off that has exited, also those of a report that the database is still at work on. */
export async function removeProcess(database, processId) {
  await database.query('delete from board.processes where id = $1', [processId])
}
