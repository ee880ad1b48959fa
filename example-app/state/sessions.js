// Who is logged in.

/** The sessions of logged-in users: each lasts until it expires or its user logs out. */
export class Sessions {
  #database
  #lifetime
  #limit

  /**
   * @param {import('../database/database.js').Database} database
   * @param {{ lifetime: number, limit: number }} options `lifetime` in ms
   */
  constructor(database, { lifetime, limit }) {
    this.#database = database
    this.#lifetime = lifetime
    this.#limit = limit
  }

  /** A new session, or undefined if there are too many. */
  async begin(user) {
    await this.#database.query('delete from board.sessions where expires_at <= $1', [new Date()])
    const [session] = await this.#database.query(
      `insert into board.sessions (person, expires_at)
      select $1, $2 where (select count(*) from board.sessions) < $3
      returning id, person as user, expires_at as "expiresAt"`,
      [user, new Date(Date.now() + this.#lifetime), this.#limit]
    )
    return session
  }

  async find(id) {
    const [session] = await this.#database.query(
      'select id, person as user, expires_at as "expiresAt" from board.sessions where id = $1 and expires_at > $2',
      [id, new Date()]
    )
    return session
  }

  async end(id) {
    await this.#database.query('delete from board.sessions where id = $1', [id])
  }
}
