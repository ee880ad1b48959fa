import { Child } from './child.js'
import { sleep } from './clock.js'
import { cpuTimeOfThreads, machineTime } from './machine.js'
import { MemoryGuard } from './memory-guard.js'

/** Clients that parse every event. Coprime to 16 in their stride for usual counts: they fall on all shards. */
const WATCHERS = 24
/** Resident bytes past which a server is killed. */
const MEMORY_LIMIT = 4 * 2 ** 30
const MIB = 2 ** 20
/** How long the last events may take to arrive, ms. */
const DRAIN = 15_000
/** How long a server may take to end by itself, ms. */
const GRACE = 2000
const COUNTERS = 1
const WATCHING = 2
const ASKING = 3

/** A peer's server, and its clients: three processes, from start to end. */
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
  #timeBefore
  #gzip = false

  /**
   * @param {number} files descriptors that each process may open
   * @param {string[]} serverArgs what else to give Node for the server, `--cpu-prof` say
   */
  constructor(files, serverArgs = []) {
    this.#server = new Child('server.js', { files, nodeArgs: ['--expose-gc', '--no-warnings', ...serverArgs] })
    this.#counters = new Child('clients.js', { files })
    this.#watchers = new Child('clients.js', { files })
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

  /** Ends the server at once, because of something that the result must tell. */
  abort(fault) {
    this.fault ??= fault
    this.#end()
  }

  async close() {
    this.#guard?.stop()
    await Promise.all([this.#counters.kill(), this.#watchers.kill()])
    // Asked, it clears up after itself; where it is too busy to answer it is killed.
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
   * Connects clients: most count bytes, the watchers among them, spread evenly, parse every event.
   *
   * @returns {Promise<{ seconds: number }>} how long it took
   */
  async connect({ clients, parallel, resume, gzip = false }) {
    this.clients = clients
    this.#gzip = gzip
    const common = { port: this.#port, topics: this.#topics, parallel, gzip, ...resume }
    const watch = (first, count) =>
      this.#watchers.call('connect', { ...common, network: WATCHING, first, count, parse: true, timed: true })
    const count = (first, count) =>
      this.#counters.call('connect', { ...common, network: COUNTERS, first, count, parse: this.#topics > 0 })
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

  /** Connects clients from one process, as fast as they get in. */
  async connectCounters({ first, clients, parallel }) {
    const { seconds, failed, error } = await this.#counters.call('connect', {
      port: this.#port,
      network: COUNTERS,
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
    await this.#counters.call('connectStuck', { port: this.#port, network: ASKING, count })
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
    await this.#watchers.call('startNeighbour', { port: this.#port, network: ASKING })
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
    this.#timeBefore = this.#times()
    return { rss, arrayBuffers: memory.arrayBuffers / MIB, counters, watchers }
  }

  /** Ends it. */
  async end() {
    const { cpu, loopDelayP99, arrayBuffers } = await this.#server.call('end')
    this.#guard.read()
    const times = this.#times()
    await this.#counters.call('readInBouts', { on: false })
    const before = this.#timeBefore
    const others = times.busy - before.busy - (times.own - before.own)
    return {
      cpu,
      loopDelayP99,
      rss: this.#guard.peak / MIB,
      arrayBuffers: arrayBuffers / MIB,
      othersShare: Math.max(0, others / (times.all - before.all))
    }
  }

  #times() {
    const pids = new Set([...this.#pids, this.#server.pid, this.#counters.pid, this.#watchers.pid, process.pid])
    let own = 0
    for (const pid of pids) own += cpuTimeOfThreads(pid)
    return { own, ...machineTime() }
  }

  /** Begins to publish on a schedule. */
  pace(schedule) {
    return this.#server.call('pace', schedule)
  }

  /** Waits for the schedule's end. */
  paced() {
    return this.#server.call('paced')
  }

  samples(times) {
    return this.#counters.call('samples', { times })
  }

  /**
   * Waits until all that was published up to `lastSeq` has arrived everywhere.
   *
   * @returns what came, and what was wrong with it
   */
  async arrived(lastSeq, within = DRAIN) {
    const watchers = await this.#watchers.call('parsed', { lastSeq, within })
    const counters =
      this.#topics > 0 || this.#gzip
        ? await this.#counters.call('parsed', { lastSeq, within })
        : await this.#counters.call('counted', {
            bytes: watchers.streamBytes ?? -1,
            within: watchers.done ? within : 0
          })
    return { watchers, counters, faults: faults(watchers, counters) }
  }

  /** What had arrived when the server went away. */
  async remains() {
    const [counters, watchers] = await Promise.all([this.#counters.call('record'), this.#watchers.call('record')])
    return { counters, watchers }
  }

  latency() {
    return this.#watchers.call('latency')
  }
}

function faults(watchers, counters) {
  const found = [...watchers.faults, ...counters.faults]
  if (watchers.lost + counters.lost > 0) found.push(`${watchers.lost + counters.lost} connections were lost`)
  if (!watchers.done) found.push('not all had arrived in time')
  else if (!counters.done) found.push(`${counters.wrong ?? 'some'} clients did not get the same bytes`)
  return found
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
