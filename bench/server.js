import { monitorEventLoopDelay } from 'node:perf_hooks'
import Fastify from 'fastify'
import { answerCalls } from './calls.js'
import { now, sleep } from './clock.js'
import { pace } from './pacer.js'
import { payloads, rowPayloads } from './payload.js'

const LOOP_RESOLUTION = 10
/** From the call to the first event, so that all processes know of it before, µs. */
const LEAD = 50_000

let app
let peer
let topics = 0
let seq = 0
let pacing
let loopDelay
let cpuBefore = 0

answerCalls({
  async start({ name, ...options }) {
    topics = options.topics ?? 0
    app = Fastify()
    app.get('/neighbour', () => ({ hello: 'world' }))
    const { setup } = await import(`./peers/${name}.js`)
    peer = await setup(app, options)
    await app.listen({ host: '127.0.0.1', port: 0, backlog: 16_384 })
    return { port: peer.port ?? app.server.address().port, pids: peer.pids ?? [process.pid] }
  },

  /** Waits for so many clients, where the peer counts them. */
  async clients({ count, within = 10_000 }) {
    if (peer.count === undefined) {
      await sleep(500)
      return count
    }
    for (const deadline = now() + within * 1e3; peer.count !== count && now() < deadline; ) await sleep(5)
    return peer.count
  },

  /** Publishes all in one tick. */
  burst({ events, bytes }) {
    const payload = payloads(bytes)
    const first = now()
    for (let n = 0; n < events; n++) publish(payload, now())
    return { first, lastSeq: seq - 1 }
  },

  /** Begins to publish on a schedule; `paced` waits for its end. */
  pace({ rate, events, bytes, rows = false }) {
    const first = now() + LEAD
    const payload = rows ? rowPayloads(bytes) : payloads(bytes)
    pacing = pace({ rate, events, first }, (_n, due) => publish(payload, due))
    return { first, nextSeq: seq }
  },

  async paced() {
    const { published, late } = await pacing
    return { published, late, lastSeq: seq - 1 }
  },

  /** Begins a measurement. */
  async begin() {
    // Garbage of what went before is not this measurement's.
    globalThis.gc()
    await sleep(50)
    loopDelay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION })
    loopDelay.enable()
    cpuBefore = cpu()
    return memory()
  },

  /** Ends it: CPU µs, and the event loop's delay in ms beyond the sampling interval. */
  end() {
    const used = cpu() - cpuBefore
    loopDelay.disable()
    return { cpu: used, loopDelayP99: Math.max(0, loopDelay.percentile(99) / 1e6 - LOOP_RESOLUTION), ...memory() }
  },

  /** Collects garbage, and says what is left. */
  async settle() {
    for (let n = 0; n < 3; n++) {
      globalThis.gc()
      await sleep(100)
    }
    return memory()
  },

  stop() {
    setImmediate(() => process.exit())
  }
})

function publish(payload, due) {
  const n = seq++
  peer.publish(payload(n, due, now()), n, topics === 0 ? undefined : `t${n % topics}`)
}

function cpu() {
  if (peer.cpu !== undefined) return peer.cpu()
  const { user, system } = process.cpuUsage()
  return user + system
}

function memory() {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  return { rss, heapUsed, arrayBuffers }
}
