// The neighbour: requests to another route of the same server.

import net from 'node:net'
import { now } from '../machine/clock.js'
import { Latency } from './latency.js'

const RATE = 100
const REQUEST = 'GET /neighbour HTTP/1.1\r\nhost: bench\r\n\r\n'

/** A client of another route on the same server: requests small JSON on a schedule, over one kept-alive connection. Latency counts from when a request was due. */
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
      // Only the body ends with these characters.
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

  /** Stops, and returns the latency. A request without an answer counts with the time it has waited. */
  stop() {
    clearInterval(this.#timer)
    const time = now()
    for (const due of this.#asked) this.#latency.take(time, due, due)
    this.#socket.destroy()
    return this.#latency.report().due
  }
}
