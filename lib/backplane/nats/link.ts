// The connection to NATS: the app's own, or one that is made again for as long as it takes.

import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import type { NatsConnection, NodeConnectionOptions, Status } from '@nats-io/transport-node'
import { loadPackage } from '../engine-setup.js'
import { within } from '../within.js'

/** Time limit for making a connection, ms. */
export const CONNECT_TIMEOUT = 2000
/** Time limit for each answer of the server, ms. */
export const ANSWER_TIMEOUT = 2000
/** Time limit for ending a connection properly, ms. */
const END_TIMEOUT = 1000

/** Options of a connection that is made here. If the server does not answer, it is dropped, and reconnects without limit. */
const OWN = {
  name: 'pylon-sse',
  timeout: CONNECT_TIMEOUT,
  pingInterval: 1000,
  maxPingOut: 2,
  reconnect: true,
  maxReconnectAttempts: -1,
  reconnectTimeWait: 250,
  reconnectJitter: 250,
  ignoreAuthErrorAbort: true
}

export type ConnectOptions = Pick<
  NodeConnectionOptions,
  'servers' | 'user' | 'pass' | 'token' | 'authenticator' | 'tls' | 'inboxPrefix'
>

/** A connection, and JetStream over it. */
export interface Linked {
  readonly connection: NatsConnection
  readonly client: JetStreamClient
  readonly manager: JetStreamManager
}

/** How the client libraries are loaded. */
export interface Packages {
  jetstream(): Promise<typeof import('@nats-io/jetstream')>
  transport(): Promise<typeof import('@nats-io/transport-node')>
}

const PACKAGES: Packages = {
  jetstream: () => loadPackage('@nats-io/jetstream', () => import('@nats-io/jetstream')),
  transport: () => loadPackage('@nats-io/transport-node', () => import('@nats-io/transport-node'))
}

/** The app's connection, or one that is made here. */
export class NatsLink {
  readonly #given: NatsConnection | undefined
  readonly #options: ConnectOptions
  readonly #packages: Packages
  /** Called when the connection is lost, and when it is there again. */
  readonly #onChange: (isUp: boolean) => void
  #opening: Promise<Linked> | undefined
  #linked: Linked | undefined
  #statuses: (AsyncIterable<Status> & { stop?(): void }) | undefined
  #isUp = false
  #isClosed = false

  constructor(
    given: NatsConnection | undefined,
    options: ConnectOptions,
    onChange: (isUp: boolean) => void,
    packages: Packages = PACKAGES
  ) {
    this.#given = given
    this.#options = options
    this.#onChange = onChange
    this.#packages = packages
  }

  /** The address of the server, for error messages. */
  get address(): string {
    /* c8 ignore next: a connection that is closed has no server to name */
    if (this.#given) return this.#given.isClosed() ? "the app's connection" : this.#given.getServer()
    return [this.#options.servers].flat().join(', ')
  }

  /** Gives the connection if it is up. Rejects if it is lost: the driver would buffer what is sent, and send it late. */
  async open(): Promise<Linked> {
    if (this.#isClosed) throw new Error('it is closed')
    if (this.#linked === undefined || this.#linked.connection.isClosed()) {
      this.#opening ??= this.#open().finally(() => {
        this.#opening = undefined
      })
      return this.#opening
    }
    if (!this.#isUp) throw new Error('the connection is lost')
    return this.#linked
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.drop()
  }

  /** Ends the connection if it was made here; `open` makes another. Requests that wait for an answer reject. */
  async drop(): Promise<void> {
    this.#statuses?.stop?.()
    const end = async () => {
      const linked = await (this.#opening ?? this.#linked)
      this.#linked = undefined
      if (this.#given === undefined) await linked?.connection.close()
    }
    await within(END_TIMEOUT, end()).catch(() => {})
  }

  async #open(): Promise<Linked> {
    const { jetstream, jetstreamManager } = await this.#packages.jetstream()
    const connection = this.#given ?? (await this.#connect())
    if (connection.isClosed()) throw new Error("the app's connection is closed")
    const manager = await jetstreamManager(connection, { checkAPI: false, timeout: ANSWER_TIMEOUT })
    const linked = { connection, manager, client: jetstream(connection, { timeout: ANSWER_TIMEOUT }) }
    if (this.#isClosed) {
      if (this.#given === undefined) void connection.close()
      throw new Error('it is closed')
    }
    this.#linked = linked
    this.#isUp = true
    void this.#follow(linked)
    return linked
  }

  async #connect(): Promise<NatsConnection> {
    const { connect } = await this.#packages.transport()
    return connect({ ...this.#options, ...OWN })
  }

  async #follow({ connection }: Linked): Promise<void> {
    const statuses: AsyncIterable<Status> & { stop?(): void } = connection.status()
    this.#statuses = statuses
    for await (const { type } of statuses) {
      if (type === 'disconnect' || type === 'close') this.#tell(false)
      if (type === 'reconnect') this.#tell(true)
    }
  }

  #tell(isUp: boolean): void {
    /* c8 ignore next: the driver may tell the same twice */
    if (isUp === this.#isUp) return
    this.#isUp = isUp
    this.#onChange(isUp)
  }
}
