import { setImmediate as turn } from 'node:timers/promises'
import v8 from 'node:v8'
import vm from 'node:vm'
import type { FastifyReply } from 'fastify'
import t from 'tap'
import { Connections } from '../kit/connections.js'
import { gatherCrowd } from '../kit/crowd.js'
import { broadcastNumbers } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { asksFor } from '../kit/topics.js'
import { waiting } from '../kit/waiting.js'

const MB = 2 ** 20
const LOG_BYTES = 16 * MB
const EVENT_BYTES = 32 * 1024
/** Enough for whoever does not read to be stuck, and for the log to be full. */
const ROUND = (24 * MB) / EVENT_BYTES

v8.setFlagsFromString('--expose-gc')
const collectGarbage: () => void = vm.runInNewContext('gc')

/** What the process keeps, in bytes: without the garbage, which depends on the collector's mood. */
async function kept(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collectGarbage()
    // What was found unused may be given back only later.
    await turn()
  }
  return inUse()
}

/** Bytes of objects and buffers. Not what the allocator holds for later (the resident set), which differs from run to run. */
function inUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

t.test('a hundred stuck clients cost little besides the log, and no more over time', async (t) => {
  const { app, socketPath } = await serve(t, { transport: 'unix', sse: { stallTimeout: 0 } })
  let last = 0
  const broadcast = async () => {
    for (const end = last + ROUND; last < end; last++) {
      broadcastNumbers(app, last + 1, last + 1, EVENT_BYTES)
      await turn()
    }
  }

  const before = await kept()
  // At two places of the log, so that what they wait for is not the same.
  for (let i = 0; i < 2; i++) {
    await gatherCrowd(t, { socketPath: socketPath! }, { readers: 0, stuck: 50 })
    await broadcast()
  }
  const stuck = await kept()
  t.ok(stuck - before < LOG_BYTES + 16 * MB, `${(stuck - before) / MB} MiB`)
  for (let i = 0; i < 3; i++) await broadcast()
  const longer = await kept()
  t.ok(longer - stuck < 2 * MB, `${(longer - stuck) / MB} MiB more`)

  const { connected, slowestLag, dropped } = app.sse.stats()
  t.equal(connected, 100)
  t.ok(slowestLag > 400, 'they are stuck')
  t.ok(dropped > 100 * 3 * ROUND, 'all of them')
})

t.test('bytes that wait for a full socket keep no more of the log in memory than themselves', async (t) => {
  let connections!: Connections
  const s = await serve(t, {
    transport: 'unix',
    setup: (app) => {
      connections = new Connections(app)
    }
  })
  await s.connect({ stuckBefore: 'body' })
  const [socket] = connections.sockets
  const waiting: Buffer[] = []
  const write = socket!.write
  socket!.write = (...args: unknown[]) => {
    if (socket!.writableLength > 0) waiting.push(args[0] as Buffer)
    return Reflect.apply(write, socket!, args)
  }
  for (let n = 1; n <= 1000; n++) {
    broadcastNumbers(s.app, n, n, 1000)
    await turn()
    await turn()
  }
  t.ok(waiting.length > 5, `${waiting.length} events wait behind another`)
  for (const bytes of waiting) t.ok(bytes.buffer.byteLength <= 4 * bytes.length, `${bytes.buffer.byteLength} bytes`)
})

t.test('a burst within one turn keeps no more than the log in memory, for clients and waiting requests', async (t) => {
  const { app, connect, url } = await serve(t, { sse: { authorizeTopics: () => true } })
  const count = 20_000
  const data = 'x'.repeat(10_000)
  const burst = (topic: string) => {
    for (let i = 0; i < count; i++) app.sse.broadcastMessage(data, { topic })
    collectGarbage()
    // The next one waits until what the first found unused has been freed, which another thread does.
    collectGarbage()
    return inUse()
  }
  await connect(asksFor('client'))
  const isWaiting = waiting(t, 1)
  const waits = fetch(`${url}/events?topic=waiter&wait=60000`, { headers: { accept: 'application/json' } })
  await isWaiting
  const before = await kept()
  for (const topic of ['client', 'waiter']) {
    const more = burst(topic) - before
    t.ok(more < LOG_BYTES + 16 * MB, `${more / MB} MiB for a ${topic}`)
    await turn()
  }
  t.equal((await waits).status, 200)
})

t.test('a client that is connected does not keep what Fastify replied with in memory', async (t) => {
  const replies: WeakRef<FastifyReply>[] = []
  const { connect } = await serve(t, {
    setup: (app) => {
      app.addHook('onSend', async (_request, reply) => void replies.push(new WeakRef(reply)))
    }
  })
  for (let i = 0; i < 5; i++) await connect()
  t.equal(replies.length, 5)
  await kept()
  t.strictSame(
    replies.filter((reply) => reply.deref() !== undefined),
    []
  )
})
