import net from 'node:net'
import { now } from './clock.js'
import { Latency } from './latency.js'

const RATE = 100
const REQUEST = 'GET /neighbour HTTP/1.1\r\nhost: bench\r\n\r\n'

/** Asks a small JSON route, on a schedule, over one connection that is kept. Latency counts from when it was due. */
export class Neighbour {
  #latency = new Latency()
  #asked = []
  #socket
  #timer

  constructor({ port, localAddress }) {
    this.#socket = net.connect({ host: '127.0.0.1', port, localAddress, noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('error', () => {})
    let text = ''
    this.#socket.on('data', (data) => {
      const time = now()
      text += data
      // Its body is the one thing that ends so.
      for (let end = text.indexOf('"}'); end !== -1; end = text.indexOf('"}')) {
        text = text.slice(end + 2)
        const due = this.#asked.shift()
        this.#latency.take(time, due, due)
      }
    })
    const first = now()
    let n = 0
    this.#timer = setInterval(() => {
      for (let due = first + (n * 1e6) / RATE; due <= now(); due = first + (n * 1e6) / RATE) {
        this.#asked.push(due)
        this.#socket.write(REQUEST)
        n++
      }
    }, 1)
  }

  /** Ends, and says how long the answers took; those that never came count as long as they have been waited for. */
  stop() {
    clearInterval(this.#timer)
    const time = now()
    for (const due of this.#asked) this.#latency.take(time, due, due)
    this.#socket.destroy()
    return this.#latency.report().due
  }
}
