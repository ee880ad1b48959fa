// A process of benchmark clients: opens connections and reports what they receive, on calls of the stage.

import { now, sleep } from '../machine/clock.js'
import { answerCalls } from '../stage/calls.js'
import { address, Connection } from './connection.js'
import { Events } from './events.js'
import { Gunzipped } from './gunzipped.js'
import { Latency } from './latency.js'
import { Neighbour } from './neighbour.js'

const POLL = 2
/** How long the process sleeps if there is little to read, ms. */
const SLEEP = 2
/** Reads in one turn of the event loop below which there is little to read. */
const FEW_READS = 256

const tally = { bytes: 0, events: 0, reads: 0, lost: 0, lastRead: 0 }
const sleeper = new Int32Array(new SharedArrayBuffer(4))
const latency = new Latency()
let connections = []
let stuck = []
let neighbour
let nextBout
let readsBefore = 0

answerCalls({
  /**
   * Opens `count` connections, `parallel` at a time.
   *
   * @param {object} args `first`: number of the first of them among all clients; `parse`: whether they parse every
   *   event or only count bytes; `pattern`: whether they ask for topics by patterns; `timed`: whether their latency counts; `next`: `seq` of the first event to arrive, if they parse
   */
  async connect({
    port,
    network,
    first,
    count,
    topics = 0,
    parse,
    timed,
    next,
    lastEventId,
    gzip = false,
    pattern = false,
    parallel = 128
  }) {
    const began = now()
    const errors = []
    await inParallel(count, parallel, (n, done) => {
      const number = first + n
      const topic = topics === 0 ? undefined : number % topics
      const expected = { next: firstOf(topic, topics, next), step: topics || 1 }
      const events = parse ? new Events(expected, tally, timed ? latency : undefined) : undefined
      const target = {
        port,
        localAddress: address(number, network),
        request: request(topic, { lastEventId, gzip, pattern })
      }
      const parser = gzip && events !== undefined ? new Gunzipped(events) : events
      const connection = new Connection(target, tally, parser, (error) => {
        if (error === undefined) connections.push(connection)
        else errors.push(error.message)
        done()
      })
    })
    return { seconds: (now() - began) / 1e6, failed: errors.length, error: errors[0] }
  },

  /** Opens stuck connections, which never read. */
  async connectStuck({ port, network, count }) {
    await inParallel(count, count, (n, done) => {
      const target = { port, localAddress: address(n, network), request: request(), reads: false }
      stuck.push(new Connection(target, tally, undefined, () => done()))
    })
  },

  /** Destroys the stuck connections. */
  dropStuck() {
    for (const connection of stuck) connection.destroy()
    stuck = []
  },

  /** Destroys all connections, and resets the counters. */
  drop() {
    for (const connection of [...connections, ...stuck]) connection.destroy()
    connections = []
    stuck = []
    Object.assign(tally, { bytes: 0, events: 0, lost: 0 })
  },

  /** Starts a measurement: forgets the latencies so far, and returns the counters. */
  record() {
    latency.reset()
    return totals()
  },

  /** Waits for each of the given times (µs, machine/clock.js), and returns what had arrived by then. */
  async samples({ times }) {
    const taken = []
    for (const time of times) {
      await sleep(Math.max(0, (time - now()) / 1e3))
      taken.push({ time: now(), bytes: tally.bytes, events: tally.events })
    }
    return taken
  },

  /** Waits until every client that parses has received the events up to `lastSeq`. */
  async parsed({ lastSeq, within }) {
    const done = await until(within, () =>
      connections.every(({ events }) => events === undefined || events.next > lastSeq)
    )
    return { done, ...totals() }
  },

  /** Waits until every client has received exactly `bytes` of its stream. */
  async counted({ bytes, within }) {
    const all = bytes * connections.length
    const done = await until(within, () => tally.bytes >= all && connections.every((one) => one.bytes === bytes))
    return { done, wrong: connections.filter((one) => one.bytes !== bytes).length, ...totals() }
  },

  latency() {
    return latency.report()
  },

  /**
   * Turns reading in bouts on or off. A process that waits for its sockets is woken by each write of the server, and the
   * server pays for waking it: a cost of having both on one machine, not of sending. So the process sleeps between bouts.
   * Not for clients whose latency is measured.
   */
  readInBouts({ on }) {
    clearImmediate(nextBout)
    if (on) sleepIfQuiet()
  },

  lastId() {
    return connections[0].events.lastId
  },

  startNeighbour({ port, network }) {
    neighbour = new Neighbour({ port, localAddress: address(0, network) })
  },

  stopNeighbour() {
    return neighbour.stop()
  }
})

function sleepIfQuiet() {
  if (tally.reads - readsBefore < FEW_READS) Atomics.wait(sleeper, 0, 0, SLEEP)
  readsBefore = tally.reads
  nextBout = setImmediate(sleepIfQuiet)
}

/** `seq` of the first event that a client gets: of its topic, from `next` on. */
function firstOf(topic, topics, next = 0) {
  return topic === undefined ? next : next + ((topic - (next % topics) + topics) % topics)
}

/** @param options `pattern`: whether it asks for the topic by a pattern */
function request(topic, { lastEventId, gzip = false, pattern = false } = {}) {
  const query = topic === undefined ? '' : `?topic=t${topic}${pattern ? '.**' : ''}`
  const resume = lastEventId === undefined ? '' : `last-event-id: ${lastEventId}\r\n`
  return `GET /events${query} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n${gzip ? 'accept-encoding: gzip\r\n' : ''}${resume}\r\n`
}

function totals() {
  const streams = new Set(connections.map(({ bytes }) => bytes))
  const faults = connections.flatMap(({ events }) => events?.faults ?? [])
  return {
    ...tally,
    connections: connections.length,
    /** Bytes of one client's stream, if they are the same for all. */
    streamBytes: streams.size === 1 ? [...streams][0] : undefined,
    faults: faults.slice(0, 3)
  }
}

async function until(within, condition) {
  const deadline = now() + within * 1e3
  while (!condition()) {
    if (now() > deadline) return false
    await sleep(POLL)
  }
  return true
}

/** Starts `count` tasks, `parallel` at a time. @param {(n: number, done: () => void) => void} start starts one, which calls `done` at its end */
function inParallel(count, parallel, start) {
  return new Promise((resolve) => {
    let started = 0
    let left = count
    if (count === 0) resolve()
    const more = () => {
      if (started === count) return
      start(started++, () => {
        left--
        if (left === 0) resolve()
        else more()
      })
    }
    for (let n = 0; n < parallel; n++) more()
  })
}
