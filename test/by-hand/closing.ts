// Closes an app that has many streams open, and says how long that takes, and for how long at most a turn of the event loop
// is held meanwhile: npm run closing [-- part of a title]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import pylonSse from '../../lib/index.js'
import { slowdown } from '../kit/slowdown.js'

interface Scene {
  clients: number
  transport?: 'http' | 'h2c'
  /** Default: all that comes. */
  reads?: 'all' | 'nothing'
  encoding?: 'identity' | 'gzip'
  /** Events of 4 kB that are broadcast in the turn in which the app is closed. */
  events?: number
}

const BEHIND = 1000
const SCENES: Record<string, Scene> = {
  '19,000 idle clients': { clients: 19_000 },
  '2,000 clients that are 4 MB behind, and read': { clients: 2000, events: BEHIND },
  '2,000 clients that are 4 MB behind, and read nothing': { clients: 2000, reads: 'nothing', events: BEHIND },
  '2,000 clients of gzip that are 4 MB behind, and read': { clients: 2000, encoding: 'gzip', events: BEHIND },
  '2,000 clients of HTTP/2 that are 4 MB behind, and read': { clients: 2000, transport: 'h2c', events: BEHIND },
  '2,000 clients of HTTP/2 that are 4 MB behind, and read nothing': {
    clients: 2000,
    transport: 'h2c',
    reads: 'nothing',
    events: BEHIND
  }
}
const PROCESSES = 4
const CROWD = fileURLToPath(new URL('closing-crowd.js', import.meta.url))

async function close({ clients, transport = 'http', reads = 'all', encoding = 'identity', events = 0 }: Scene) {
  const app = fastify({ pluginTimeout: 60_000, ...(transport === 'h2c' && ({ http2: true } as object)) })
  await app.register(pylonSse, { compress: encoding === 'gzip' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const each = Math.ceil(clients / PROCESSES)
  const crowds = Array.from({ length: PROCESSES }, (_, i) => {
    const first = i * each
    const args = [port, transport, first, Math.min(each, clients - first), reads, encoding].map(String)
    return fork(CROWD, args, { execArgv: [] })
  })
  await Promise.all(crowds.map((crowd) => once(crowd, 'message')))
  const data = 'x'.repeat(4096)
  // What is full before anybody closes is what nobody reads.
  for (let i = 0; i < events && reads === 'nothing'; i++) app.sse.broadcastMessage(data)
  await sleep(2000)
  const { connected } = app.sse.stats()
  for (let i = 0; i < events; i++) app.sse.broadcastMessage(data)
  const share = slowdown()
  const turns = new Turns()
  const start = performance.now()
  await app.close()
  const took = performance.now() - start
  const { total, longest, longestByClock } = turns.end()
  // Most of them still have to read what they were sent.
  await sleep(3000)
  const ends = { ended: 0, cut: 0 }
  for (const crowd of crowds) {
    const told = once(crowd, 'message')
    crowd.send('tell')
    const [more] = (await told) as [typeof ends]
    ends.ended += more.ended
    ends.cut += more.cut
  }
  const times = `${took.toFixed()} ms, ${total.toFixed()} of CPU`
  const held = `${longestByClock.toFixed()} ms, ${longest.toFixed()} of CPU`
  const machine = `one that is ${share.toFixed(1)} times slower than by itself`
  return `${connected} closed in ${times}; longest turn ${held}; ${ends.ended} ended, ${ends.cut} cut; machine: ${machine}`
}

/** The turns of the event loop from now on, ms: by the clock, and what the process itself had of that. */
class Turns {
  readonly #cpu = process.cpuUsage()
  #longest = 0
  #longestByClock = 0
  #timer: NodeJS.Timeout | undefined

  constructor() {
    this.#await()
  }

  end(): { total: number; longest: number; longestByClock: number } {
    clearTimeout(this.#timer)
    return { total: cpuSince(this.#cpu), longest: this.#longest, longestByClock: this.#longestByClock }
  }

  #await(): void {
    const start = performance.now()
    const cpu = process.cpuUsage()
    this.#timer = setTimeout(() => {
      this.#longest = Math.max(this.#longest, cpuSince(cpu))
      this.#longestByClock = Math.max(this.#longestByClock, performance.now() - start)
      this.#await()
    }, 1)
  }
}

function cpuSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

for (const [title, scene] of Object.entries(SCENES)) {
  if (title.includes(process.argv[2] ?? '')) console.log(`${title}:\n  ${await close(scene)}`)
}
