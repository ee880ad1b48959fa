// The stage of a measurement: a server and its clients, in processes of their own.

import { sleep } from '../machine/clock.js'
import { othersShare, timesOf } from '../machine/machine.js'
import { MemoryGuard } from '../machine/memory-guard.js'
import { waitForArrivals } from './arrivals.js'
import { Child } from './child.js'

/** Clients that parse every event. For the usual numbers of clients they are spread over all 16 shards. */
const WATCHERS = 24
/** Resident bytes past which a server is killed. */
const MEMORY_LIMIT = 4 * 2 ** 30
const MIB = 2 ** 20
/** Time that the last events may take to arrive, ms. */
const DRAIN = 15_000
/** Time that a server may take to exit by itself, ms. */
const GRACE = 2000
/** Networks that clients connect from: 127.1.0.0/16, and so on. */
const COUNTING = 1
const WATCHING = 2
const OTHERS = 3

/** The processes of one measurement: a peer's server, clients that count bytes, and clients that parse every event. */
export class Stage {
  fault
  clients = 0
  #server
  #counters
  #watchers
  #guard
  #pids = []
  #port
  #topics = 0
  #timesBefore
  #gzip = false

  /**
   * @param {number} files descriptors that each process may open
   * @param {string[]} serverArgs further arguments of Node for the server, such as `--cpu-prof`
   */
  constructor(files, serverArgs = []) {
    this.#server = new Child('server/server.js', { files, nodeArgs: ['--expose-gc', '--no-warnings', ...serverArgs] })
    this.#counters = new Child('clients/clients.js', { files })
    this.#watchers = new Child('clients/clients.js', { files })
  }

  async open(name, { topics = 0, history = false } = {}) {
    this.#topics = topics
    const { port, pids } = await this.#server.call('start', { name, topics, history })
    this.#port = port
    this.#pids = pids
    this.#guard = new MemoryGuard(pids, MEMORY_LIMIT, (bytes) => {
      this.abort(`killed at ${(bytes / 2 ** 30).toFixed(1)} GiB`)
    })
  }

  get serverPid() {
    return this.#server.pid
  }

  /** Kills the server. `fault` is the reason, for the results. */
  abort(fault) {
    this.fault ??= fault
    this.#end()
  }

  async close() {
    this.#guard?.stop()
    await Promise.all([this.#counters.kill(), this.#watchers.kill()])
    // A server that stops itself removes its files. One that is too busy to answer is killed.
    this.#server.call('stop').catch(() => {})
    await Promise.race([this.#server.exited, sleep(GRACE)])
    await this.#end()
  }

  #end() {
    for (const pid of this.#pids) if (pid !== this.#server.pid) kill(pid)
    this.#pids = []
    return this.#server.kill()
  }

  /**
   * Connects clients. Most only count bytes; the watchers, spread evenly among them, parse every event.
   *
   * @returns {Promise<{ seconds: number }>} the time it took
   */
  async connect({ clients, parallel, resume, gzip = false, pattern = false }) {
    this.clients = clients
    this.#gzip = gzip
    const common = { port: this.#port, topics: this.#topics, parallel, gzip, pattern, ...resume }
    const watch = (first, count) =>
      this.#watchers.call('connect', { ...common, network: WATCHING, first, count, parse: true, timed: true })
    const count = (first, count) =>
      this.#counters.call('connect', { ...common, network: COUNTING, first, count, parse: this.#topics > 0 })
    const began = performance.now()
    const results = []
    if (resume !== undefined) {
      results.push(...(await Promise.all([count(0, clients - WATCHERS), watch(clients - WATCHERS, WATCHERS)])))
    } else {
      for (let n = 0, first = 0; n < WATCHERS; n++) {
        const next = Math.round(((n + 1) * clients) / WATCHERS)
        results.push(await count(first, next - first - 1))
        results.push(await watch(next - 1, 1))
        first = next
      }
    }
    const seconds = (performance.now() - began) / 1e3
    const failed = results.reduce((sum, one) => sum + one.failed, 0)
    if (failed > 0) throw new Error(`${failed} could not connect: ${results.find(({ error }) => error).error}`)
    await this.expectClients(clients)
    return { seconds }
  }

  /** Connects clients from one process, as fast as the server accepts them. */
  async connectCounters({ first, clients, parallel }) {
    const { seconds, failed, error } = await this.#counters.call('connect', {
      port: this.#port,
      network: COUNTING,
      first,
      count: clients,
      parallel
    })
    if (failed > 0) throw new Error(`${failed} could not connect: ${error}`)
    this.clients += clients
    await this.expectClients(this.clients)
    return { seconds }
  }

  async connectStuck(count) {
    await this.#counters.call('connectStuck', { port: this.#port, network: OTHERS, count })
    await this.expectClients(this.clients + count)
  }

  async dropStuck() {
    await this.#counters.call('dropStuck')
    await this.expectClients(this.clients)
  }

  async expectClients(count) {
    const counted = await this.#server.call('clients', { count })
    if (counted !== count) throw new Error(`the server counts ${counted} clients of ${count}`)
  }

  async drop() {
    await Promise.all([this.#counters.call('drop'), this.#watchers.call('drop')])
    await this.expectClients(0)
  }

  lastId() {
    return this.#watchers.call('lastId')
  }

  /** Memory in MiB, with the garbage collected. */
  async settle() {
    const memory = await this.#server.call('settle')
    return { rss: this.#guard.read() / MIB, heapUsed: memory.heapUsed / MIB }
  }

  async startNeighbour() {
    await this.#watchers.call('startNeighbour', { port: this.#port, network: OTHERS })
  }

  stopNeighbour() {
    return this.#watchers.call('stopNeighbour')
  }

  burst(options) {
    return this.#server.call('burst', options)
  }

  /** Publishes on a schedule, without measuring. */
  async warmUp({ rate, seconds, bytes, rows }) {
    await this.#server.call('pace', { rate, events: Math.round(rate * seconds), bytes, rows })
    const { lastSeq } = await this.#server.call('paced')
    await this.arrived(lastSeq)
  }

  /** Begins a measurement. */
  async begin() {
    const memory = await this.#server.call('begin')
    const [counters, watchers] = await Promise.all([this.#counters.call('record'), this.#watchers.call('record')])
    await this.#counters.call('readInBouts', { on: true })
    const rss = this.#guard.reset() / MIB
    this.#timesBefore = this.#times()
    return { rss, arrayBuffers: memory.arrayBuffers / MIB, counters, watchers }
  }

  /** Ends the measurement. */
  async end() {
    const { cpu, loopDelayP99, arrayBuffers } = await this.#server.call('end')
    this.#guard.read()
    const times = this.#times()
    await this.#counters.call('readInBouts', { on: false })
    return {
      cpu,
      loopDelayP99,
      rss: this.#guard.peak / MIB,
      arrayBuffers: arrayBuffers / MIB,
      othersShare: othersShare(this.#timesBefore, times)
    }
  }

  #times() {
    const pids = new Set([...this.#pids, this.#server.pid, this.#counters.pid, this.#watchers.pid, process.pid])
    return timesOf([...pids])
  }

  /** Begins to publish on a schedule. */
  pace(schedule) {
    return this.#server.call('pace', schedule)
  }

  /** Waits for the end of the schedule. */
  paced() {
    return this.#server.call('paced')
  }

  samples(times) {
    return this.#counters.call('samples', { times })
  }

  /**
   * Waits until all events up to `lastSeq` have arrived at all clients.
   *
   * @returns what arrived, and the faults
   */
  arrived(lastSeq, within = DRAIN) {
    const children = { counters: this.#counters, watchers: this.#watchers }
    return waitForArrivals(children, { lastSeq, within, parse: this.#topics > 0 || this.#gzip })
  }

  /** What had arrived when the server was killed. */
  async remains() {
    const [counters, watchers] = await Promise.all([this.#counters.call('record'), this.#watchers.call('record')])
    return { counters, watchers }
  }

  latency() {
    return this.#watchers.call('latency')
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has exited already.
  }
}
