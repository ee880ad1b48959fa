import type { IncomingMessage } from 'node:http'
import { isHttp2, type Request, type Response } from './response.js'
import { markAsOurs, type Server, ServerConnections } from './server-connections.js'

/** How long a connection has when the app closes, ms, unless an ordinary request of the app is in progress on it. */
const DEADLINE = 1000
/** How often the connections that are left are looked at while the app closes, ms. */
const ROUND = 50
/** How often streams of HTTP/2 are looked at that their clients may have reset, ms. */
const CHECK = 1000

/** Answers a request, if it is one that it answers. @returns whether it did */
export type Answer = (req: Request, res: Response) => boolean

/**
 * The connections to the app. A server that closes waits for all of them, as long as they like: spare ones that have sent
 * nothing, half a request, a session of HTTP/2 that stays. Here they get a deadline.
 */
export class Connections {
  readonly #servers = new Map<Server, ServerConnections>()
  #checks: NodeJS.Timeout | undefined
  #round: NodeJS.Timeout | undefined

  /** Knows the connections that are made to a server from now on. */
  watch(server: Server): void {
    this.#servers.set(server, new ServerConnections(server))
    server.once('close', () => {
      this.#servers.delete(server)
      this.#endWhereDone()
    })
  }

  /** Has requests answered before the servers' own listeners hear of them, from now on. */
  answerFirst(answer: Answer): void {
    for (const server of this.#servers.keys()) {
      const { emit } = server
      server.emit = (event: string, ...args: unknown[]) =>
        (event === 'request' && answer(args[0] as Request, args[1] as Response)) ||
        Reflect.apply(emit, server, [event, ...args])
    }
  }

  /** A request of ours has come. When the app closes, its connection waits for it till the deadline. */
  carry(req: Request, res: Response): void {
    if (!isHttp2(res)) {
      markAsOurs(res, (req as IncomingMessage).socket)
      return
    }
    const { stream } = res
    // Not every request still has one when its turn comes.
    if (stream === undefined || stream.destroyed) return
    markAsOurs(stream)
    // A reset with NO_ERROR while bytes wait emits no 'close': Node would keep the stream and its session for ever.
    stream.once('aborted', () => process.nextTick(() => stream.destroy()))
    // Where all was written already, it emits nothing at all.
    this.#checks ??= setInterval(() => this.#check(), CHECK).unref()
  }

  /**
   * Closes what is idle, and from the deadline on whatever has no ordinary request of the app in progress, until no
   * connection is left. Resolves when the first is done.
   *
   * @param since when the app began to close, ms on the clock of `performance.now()`
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
