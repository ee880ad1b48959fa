// Connections to Postgres by the package pg: to an address, out of a pool, or two of them. PGlite is in pglite.ts.

import { loadPackage } from '../engine-setup.js'
import { within } from '../within.js'

/** A row of a result. Queries ask for all columns as text, because an app may have set its own parsers for types. */
export type Row = Record<string, string | null>

/** A connection that only the backplane uses: a client of `pg`, or a PGlite. */
export interface Connection {
  query(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Runs several statements. */
  execute(script: string): Promise<void>
  /** Calls `wake` for each notification on the channel, which means that something was published. */
  listen(channel: string, wake: () => void): Promise<void>
  /** Number of bytes received; 0 if unknown. */
  readonly received: number
  /** Ends the connection. Resolves when it has ended. */
  end(): Promise<void>
}

/** Opens a connection. @param onEnd called when the connection is lost */
export type Connect = (onEnd: (error?: Error) => void) => Promise<Connection>

/** How long connecting may take, ms. */
export const CONNECT_TIMEOUT = 3000
/** How long a connection may take to end, ms. After that its socket is destroyed. */
const END_TIMEOUT = 1000

/** The part of a client of `pg` that the plugin uses. It is declared by its shape, so that an app need not install its types. */
export interface PgClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  on(event: string, listener: (argument: never) => void): unknown
}

/** The part of a client that only the plugin's own connections need. */
interface OwnPgClient extends PgClient {
  connect(): Promise<unknown>
  end(): Promise<unknown>
  readonly connection?: PgConnection
}

interface PgConnection {
  readonly stream?: { readonly bytesRead?: number; destroy(): void }
}

/** The part of a pool of `pg` that the plugin uses. */
export interface PgPool {
  connect(): Promise<PgClient & { release(destroy?: boolean): void }>
  readonly options?: object
}

/** Connects to an address, with the package pg. */
export function connectTo(connectionString: string, load: () => Promise<unknown> = () => import('pg')): Connect {
  return async (onEnd) => {
    const { default: pg } = (await loadPackage('pg', load)) as {
      default: { Client: new (options: object) => OwnPgClient }
    }
    const client = new pg.Client({
      connectionString,
      application_name: 'pylon-sse',
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      keepAlive: true
    })
    const destroy = () => client.connection?.stream?.destroy()
    const end = async () => {
      await within(END_TIMEOUT, client.end()).catch(destroy)
    }
    const connection = new PgLink(client, onEnd, end)
    try {
      await within(CONNECT_TIMEOUT, client.connect())
    } catch (error) {
      destroy()
      throw error
    }
    return connection
  }
}

/** Takes a client out of a pool, and keeps it until the connection ends. The pool may then create another one. */
export function borrowFrom(pool: PgPool): Connect {
  return async (onEnd) => {
    let isLate = false
    const borrowing = pool.connect().then((client) => {
      if (isLate) client.release()
      return client
    })
    try {
      const client = await within(CONNECT_TIMEOUT, borrowing)
      return new PgLink(client, onEnd, async () => client.release(true))
    } catch (error) {
      isLate = true
      throw error
    }
  }
}

/** Uses a second connection to listen. If one of the two is lost, both are replaced. */
export function listeningBy(connect: Connect, connectListener: Connect): Connect {
  return async (onEnd) => {
    const listener = await connectListener(onEnd)
    const connection = await connect(onEnd).catch(async (error) => {
      await listener.end()
      throw error
    })
    return {
      query: (text, values) => connection.query(text, values),
      execute: (script) => connection.execute(script),
      listen: (channel, wake) => listener.listen(channel, wake),
      get received() {
        return connection.received
      },
      async end() {
        await Promise.all([listener.end(), connection.end()])
      }
    }
  }
}

/** A client of `pg` as a `Connection`. */
class PgLink implements Connection {
  readonly #client: PgClient & { readonly connection?: PgConnection }
  readonly #end: () => Promise<void>
  /** Settles with the last query. */
  #free: Promise<unknown> = Promise.resolve()

  constructor(client: PgClient, onEnd: (error?: Error) => void, end: () => Promise<void>) {
    this.#client = client
    this.#end = end
    client.on('error', onEnd)
    client.on('end', onEnd)
  }

  get received(): number {
    /* c8 ignore next: a client with another implementation may have no socket */
    return this.#client.connection?.stream?.bytesRead ?? 0
  }

  async query(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#inTurn(() => this.#client.query(text, [...values]))).rows as Row[]
  }

  async execute(script: string): Promise<void> {
    await this.#inTurn(() => this.#client.query(script))
  }

  /** Sends one query at a time, because the queue of `pg` itself is deprecated. */
  #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    const answer = this.#free.then(ask)
    this.#free = answer.catch(() => {})
    return answer
  }

  async listen(channel: string, wake: () => void): Promise<void> {
    this.#client.on('notification', wake)
    await this.query(`listen ${channel}`)
  }

  end(): Promise<void> {
    return this.#end()
  }
}
