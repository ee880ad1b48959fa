import { loadPackage } from '../optional-package.js'
import { within } from '../within.js'

/** A row of an answer. All columns are asked for as text, whatever parsers a client has for types. */
export type Row = Record<string, string | null>

/** A connection of the backplane's own, whatever carries it. */
export interface Connection {
  query(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Several statements. */
  execute(script: string): Promise<void>
  /** Has `wake` called when somebody has published. */
  listen(channel: string, wake: () => void): Promise<void>
  /** Bytes that have come by it, where that is known. */
  readonly received: number
  /** Ends it. Resolves when it is gone. */
  end(): Promise<void>
}

/** @param onEnd called when the connection is lost */
export type Connect = (onEnd: (error?: Error) => void) => Promise<Connection>

/** How long a connection may take to be made, ms. */
export const CONNECT_TIMEOUT = 3000
/** How long it has to end properly, ms. */
const END_TIMEOUT = 1000

/** What is used of a client of `pg`, told by its shape, so that its types need not be installed. */
export interface PgClient {
  query(text: string, values?: unknown[]): Promise<{ rows: unknown[] }>
  on(event: string, listener: (argument: never) => void): unknown
}

/** What is used of a client of one's own. */
interface OwnPgClient extends PgClient {
  connect(): Promise<unknown>
  end(): Promise<unknown>
  readonly connection?: PgConnection
}

interface PgConnection {
  readonly stream?: { readonly bytesRead?: number; destroy(): void }
}

/** What is used of a pool of `pg`. */
export interface PgPool {
  connect(): Promise<PgClient & { release(destroy?: boolean): void }>
  readonly options?: object
}

/** A connection to an address, by the package pg. */
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

/** A client of a pool, which is kept until it ends. The pool replaces it. */
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

/** Listens by a connection of its own. Where one of the two is lost, both are made anew. */
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

/** A client of `pg`, as a connection. */
class PgLink implements Connection {
  readonly #client: PgClient & { readonly connection?: PgConnection }
  readonly #end: () => Promise<void>
  /** When the last query has its answer. */
  #free: Promise<unknown> = Promise.resolve()

  constructor(client: PgClient, onEnd: (error?: Error) => void, end: () => Promise<void>) {
    this.#client = client
    this.#end = end
    client.on('error', onEnd)
    client.on('end', onEnd)
  }

  get received(): number {
    /* c8 ignore next: a client that is not of pg may not tell */
    return this.#client.connection?.stream?.bytesRead ?? 0
  }

  async query(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.#inTurn(() => this.#client.query(text, [...values]))).rows as Row[]
  }

  async execute(script: string): Promise<void> {
    await this.#inTurn(() => this.#client.query(script))
  }

  /** A client of pg is to be asked one thing at a time: its own queue is deprecated. */
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
