// The events of one benchmark client, and the checks on them.

import { now } from '../machine/clock.js'

/**
 * Parses the events of one stream, and checks that none is missing, duplicated or out of order.
 */
export class Events {
  /** Events received. */
  count = 0
  /** The first three faults. */
  faults = []
  lastId = ''
  /** `seq` that the next event must have. */
  next
  #step
  #tally
  #latency
  #rest = ''

  /**
   * @param {{ next: number, step: number }} expected `step`: difference between the `seq` of one event of this client and the next
   * @param {object} tally
   * @param {{ take(time: number, due: number, at: number): void } | undefined} latency
   */
  constructor({ next, step }, tally, latency) {
    this.next = next
    this.#step = step
    this.#tally = tally
    this.#latency = latency
  }

  push(bytes, from, to) {
    const time = now()
    const text = this.#rest + bytes.latin1Slice(from, to)
    let start = 0
    for (let end = text.indexOf('\n\n'); end !== -1; end = text.indexOf('\n\n', start)) {
      this.#take(text.slice(start, end), time)
      start = end + 2
    }
    this.#rest = start === 0 ? text : text.slice(start)
  }

  #take(block, time) {
    let data
    let name
    for (const line of block.split('\n')) {
      if (line.startsWith('data:')) data = line.slice(5)
      else if (line.startsWith('id:')) this.lastId = line.slice(3).trim()
      else if (line.startsWith('event:')) name = line.slice(6).trim()
    }
    if (data === undefined) return
    if (name === 'resync') this.#fault(`told of a gap: ${data.trim()}`)
    // Other named events, such as `connected`, are not among those that the benchmark broadcasts.
    if (name !== undefined && name !== 'message') return
    const { seq, due, at } = JSON.parse(data)
    if (seq !== this.next) this.#fault(`got ${seq} where ${this.next} was due`)
    this.next = seq + this.#step
    this.count++
    this.#tally.events++
    this.#latency?.take(time, due, at)
  }

  #fault(what) {
    if (this.faults.length < 3) this.faults.push(what)
  }
}
