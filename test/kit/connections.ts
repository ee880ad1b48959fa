// The connections of a server, as the server sees them.

import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { Watch } from './watch.js'

/** The server's side of the connections that are made to it from now on. */
export class Connections {
  readonly sockets = new Set<Socket>()
  readonly #watch = new Watch(() => `${this.sockets.size} connections`)

  constructor({ server }: FastifyInstance) {
    server.on('connection', (socket: Socket) => {
      this.sockets.add(socket)
      this.#watch.changed()
      // A turn later, when everybody else has heard of it too.
      socket.once('close', () => setImmediate(() => this.#forget(socket)))
    })
  }

  /** Resolves once so many are there, and the server has noticed the end of all others. */
  waitForNumber(wanted: number, ms?: number): Promise<true> {
    return this.#watch.until(() => this.sockets.size === wanted || undefined, `${wanted} connections`, ms)
  }

  #forget(socket: Socket): void {
    this.sockets.delete(socket)
    this.#watch.changed()
  }
}
