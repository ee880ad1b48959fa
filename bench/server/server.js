// The process of the server under test: runs one peer, and publishes and measures on calls of the stage.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import Fastify from 'fastify'
import { now, sleep } from '../machine/clock.js'
import { answerCalls } from '../stage/calls.js'
import { pace } from './pacer.js'
import { payloads, rowPayloads } from './payload.js'

const LOOP_RESOLUTION = 10
/** Time between the call of `pace` and its first event, so that all processes are ready for it, µs. */
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
    const { setup } = await import(`../peers/${name}.js`)
    peer = await setup(app, options)
    await app.listen({ host: '127.0.0.1', port: 0, backlog: 16_384 })
    return { port: peer.port ?? app.server.address().port, pids: peer.pids ?? [process.pid] }
  },

  /** Waits until the peer counts so many clients; if it does not count them, for half a second. */
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

  /** Publishes `batch` events at once, and the next when all of them are acknowledged, for some seconds. Returns events/s. */
  async publishAwaited({ batch, bytes, seconds }) {
    const data = 'x'.repeat(bytes)
    const first = now()
    let events = 0
    while (now() - first < seconds * 1e6) {
      await Promise.all(Array.from({ length: batch }, () => peer.publishAwaited(data)))
      events += batch
    }
    return (events / (now() - first)) * 1e6
  },

  /** Begins a measurement. */
  async begin() {
    // Earlier garbage must not be collected during the measurement.
    globalThis.gc()
    await sleep(50)
    loopDelay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION })
    loopDelay.enable()
    cpuBefore = cpu()
    return memory()
  },

  /** Ends the measurement. Returns CPU time in µs, and the delay of the event loop in ms beyond the sampling interval. */
  end() {
    const used = cpu() - cpuBefore
    loopDelay.disable()
    return { cpu: used, loopDelayP99: Math.max(0, loopDelay.percentile(99) / 1e6 - LOOP_RESOLUTION), ...memory() }
  },

  /** Collects garbage, and returns the memory in use after it. */
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
