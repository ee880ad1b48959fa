// The connections to the app when it closes: they get a deadline. The connections of one server are in
// server-connections.ts; ending streams is in hub/clients/clients.ts.

import type { IncomingMessage } from 'node:http'
import { isHttp2, type Request, type Response } from './response.js'
import { markAsOurs, type Server, ServerConnections } from './server-connections.js'

/**
 * Time that a connection has when the app closes, ms, unless a request that is not the plugin's is in progress on it.
 */
const DEADLINE = 1000
/** Interval at which the remaining connections are checked while the app closes, ms. */
const ROUND = 50
/** Interval at which HTTP/2 streams are checked for resets by their clients, ms. */
const CHECK = 1000

/** Answers a request, or leaves it to others. @returns whether it has answered */
export type Answer = (req: Request, res: Response) => boolean

/**
 * The connections to the app. A server that closes waits for all of them without limit: unused ones, half-sent
 * requests, HTTP/2 sessions that stay open. This class gives them a deadline.
 */
export class ConnectionDeadlines {
  readonly #servers = new Map<Server, ServerConnections>()
  #checks: NodeJS.Timeout | undefined
  #round: NodeJS.Timeout | undefined

  /** Tracks the connections that are made to a server from now on. */
  watch(server: Server): void {
    this.#servers.set(server, new ServerConnections(server))
    server.once('close', () => {
      this.#servers.delete(server)
      this.#endWhereDone()
    })
  }

  /** Offers requests to `answer` before the servers' own listeners get them, from now on. */
  answerFirst(answer: Answer): void {
    for (const server of this.#servers.keys()) {
      const { emit } = server
      server.emit = (event: string, ...args: unknown[]) =>
        (event === 'request' && answer(args[0] as Request, args[1] as Response)) ||
        Reflect.apply(emit, server, [event, ...args])
    }
  }

  /** Marks a request as the plugin's. When the app closes, its connection is kept open for it until the deadline. */
  carry(req: Request, res: Response): void {
    if (!isHttp2(res)) {
      markAsOurs(res)
      markAsOurs((req as IncomingMessage).socket)
      return
    }
    const { stream } = res
    // The stream may be gone by the time the request is handled.
    if (stream === undefined || stream.destroyed) return
    markAsOurs(stream)
    // A reset with NO_ERROR while bytes wait emits no 'close': Node would keep the stream and its session for ever.
    stream.once('aborted', () => process.nextTick(() => stream.destroy()))
    // If everything was written already, a reset emits nothing at all.
    this.#checks ??= setInterval(() => this.#check(), CHECK).unref()
  }

  /**
   * Closes idle connections, and from the deadline on all without a request of the app that is not the plugin's, until
   * none is left. Resolves when the idle ones are closed.
   *
   * @param since when the app began to close, ms of `performance.now()`
   */
  async close(since: number): Promise<void> {
    for (const server of this.#servers.values()) await server.leave()
    this.#awaitRound(since)
  }

  #awaitRound(since: number): void {
    this.#round = setTimeout(() => this.#cut(since), ROUND)
    this.#round.unref()
  }

  async #cut(since: number): Promise<void> {
    for (const server of this.#servers.values()) await server.cut(performance.now() - since >= DEADLINE)
    if (!this.#endWhereDone()) this.#awaitRound(since)
  }

  #endWhereDone(): boolean {
    if ([...this.#servers.values()].some(({ isDone }) => !isDone)) return false
    clearTimeout(this.#round)
    clearInterval(this.#checks)
    return true
  }

  #check(): void {
    for (const server of this.#servers.values()) server.freeAbandoned()
  }
}
