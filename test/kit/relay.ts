// A proxy between a browser and a server, which tests can replace.

import net from 'node:net'
import type { Test } from 'tap'
import { deferred } from './deferred.js'

/** Stands between the browser and a server, which may be another one later. */
export class Relay {
  readonly #server = net.createServer((socket) => this.#accept(socket))
  readonly #sockets = new Set<net.Socket>()
  /** The port of the server; none while the network is gone. */
  target: number | undefined

  /** Resolves with its own URL, which it answers at until the end of the test. */
  async listen(t: Test, target: number): Promise<string> {
    this.target = target
    const listening = deferred()
    this.#server.listen(0, '127.0.0.1', () => listening.resolve())
    await listening.promise
    t.teardown(() => {
      this.cut()
      this.#server.close()
    })
    return `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`
  }

  cut(): void {
    this.target = undefined
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept(socket: net.Socket): void {
    if (this.target === undefined) {
      socket.destroy()
      return
    }
    const upstream = net.connect(this.target, '127.0.0.1')
    for (const [end, other] of [
      [socket, upstream],
      [upstream, socket]
    ] as const) {
      this.#sockets.add(end)
      end.pipe(other)
      end
        .on('error', () => {})
        .on('close', () => {
          this.#sockets.delete(end)
          other.destroy()
        })
    }
  }
}
