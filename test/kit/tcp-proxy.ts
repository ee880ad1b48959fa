// A TCP proxy that tests can cut, freeze and slow down.

import { once } from 'node:events'
import net from 'node:net'
import type { Test } from 'tap'

/** How often a slow wire passes on what it may, ms. */
const TICK = 20

/** A wire between clients and a server of this machine, which can be cut. */
export class TcpProxy {
  /** Bytes that clients have got. */
  passed = 0
  /** What a client may get, bytes a second. */
  #rate = Number.POSITIVE_INFINITY
  #target: number
  readonly #sockets = new Set<net.Socket>()
  #isCut = false
  /** What it does when it passes on again, while it holds all bytes back. */
  #held: (() => void)[] | undefined
  readonly #server = net.createServer((near) => {
    if (this.#isCut) {
      near.destroy()
      return
    }
    if (this.#held === undefined) this.#join(near)
    else {
      // Nobody answers, and nobody says so.
      this.#sockets.add(near)
      near.on('error', () => {})
      this.#held.push(() => this.#join(near))
    }
  })

  private constructor(target: number) {
    this.#target = target
  }

  /** One that listens until the end of the test. */
  static async to(t: Test, target: number, { rate = Number.POSITIVE_INFINITY } = {}): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    proxy.#rate = rate
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    t.teardown(() => {
      proxy.cut()
      proxy.#server.close()
    })
    return proxy
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port
  }

  /** Connections to come lead to another server. Those that there are stay. */
  leadTo(target: number): void {
    this.#target = target
  }

  /** Ends all connections, and those to come. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Passes nothing on, in silence: connections stay, and those to come are taken and not answered. */
  hold(): void {
    this.#held = []
    for (const socket of this.#sockets) socket.pause()
  }

  mend(): void {
    this.#isCut = false
    if (this.#held === undefined) return
    for (const socket of this.#sockets) socket.resume()
    for (const join of this.#held) join()
    this.#held = undefined
  }

  #join(near: net.Socket): void {
    if (near.destroyed) return
    const far = net.connect(this.#target, '127.0.0.1')
    for (const [one, other] of [
      [near, far],
      [far, near]
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
    near.pipe(far)
    if (this.#rate === Number.POSITIVE_INFINITY) {
      far.pipe(near)
      far.on('data', (bytes: Buffer) => {
        this.passed += bytes.length
      })
    } else this.#passSlowly(far, near)
  }

  #passSlowly(from: net.Socket, to: net.Socket): void {
    const size = Math.ceil((this.#rate * TICK) / 1000)
    const timer = setInterval(() => {
      const bytes: Buffer | null = from.read(Math.min(size, from.readableLength))
      if (bytes === null) return
      to.write(bytes)
      this.passed += bytes.length
    }, TICK)
    from.on('close', () => clearInterval(timer))
  }
}
