import dns from 'node:dns'
import { once } from 'node:events'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import net from 'node:net'
import type { FastifyInstance } from 'fastify'
import fastify from 'fastify'
import t from 'tap'
import type { DisconnectReason } from '../../lib/index.js'
import pylonSse from '../../lib/index.js'
import { requireBinary } from '../kit/binary.js'
import { Connections } from '../kit/connections.js'
import { gatherCrowd } from '../kit/crowd.js'
import { gate } from '../kit/deferred.js'
import { withTimeout } from '../kit/patience.js'
import { serve } from '../kit/server.js'
import { KERNEL_HOLDS } from '../kit/slow-reader.js'
import { closesInTime } from '../kit/slowdown.js'
import { connect } from '../kit/sse-client.js'

t.test(
  'an app with 2,000 open streams, some of them stuck, closes within two seconds, and each stream that is read ends properly',
  async (t) => {
    const [readers, stuck, retry] = [1995, 5, 4000]
    let connections!: Connections
    const { app, ...target } = await serve(t, {
      sse: { retry, maxClientsPerIp: false, maxEventBytes: 2 * KERNEL_HOLDS.tcp },
      setup: (app) => {
        connections = new Connections(app)
      }
    })
    const crowd = await gatherCrowd(t, target, { readers, stuck })
    const bulk = 'x'.repeat(KERNEL_HOLDS.tcp)
    for (const client of app.sse.clients) if (client.ip === '127.0.0.2') client.send(bulk)
    t.equal([...connections.sockets].filter(({ writableLength }) => writableLength > 0).length, stuck)
    t.equal(app.sse.clientCount, readers + stuck)

    app.sse.broadcast('the last')
    await closesInTime(t, app)
    t.match(app.sse.stats(), { connected: 0, disconnects: { shutdown: readers + stuck } })

    const farewells = await crowd.farewells
    t.equal(farewells.filter(({ ended }) => ended).length, readers, 'a proper end')
    t.equal(farewells.filter(({ lastData }) => lastData === '"the last"').length, readers, 'what was broadcast before')
    const retries = farewells.map(({ retries }) => retries[1]!)
    t.ok(
      retries.every((value) => value >= retry && value <= 2 * retry),
      'a reconnection time, from once to twice the usual'
    )
    t.ok(Math.min(...retries) < 1.25 * retry && Math.max(...retries) > 1.75 * retry, 'spread over the whole of it')
    t.ok(new Set(retries).size > readers / 10, 'so that they do not come back at once')
  }
)

t.test('closing is bounded in time: clients that a slow process has not reached by then are cut', async (t) => {
  const s = await serve(t, {
    setup: (app) => {
      app.addHook('onRequest', async (_request, { raw }) => {
        const write = raw.write.bind(raw) as (bytes: Buffer) => boolean
        raw.write = (bytes: Buffer) => {
          if (bytes.toString().startsWith('retry:')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2600)
          return write(bytes)
        }
      })
    }
  })
  const clients = [await s.connect(), await s.connect(), await s.connect()]
  await withTimeout(s.app.close(), 'app.close()')
  await Promise.all(clients.map(({ closed }) => closed))
  t.equal(clients.filter(({ ended }) => ended).length, 1)
  t.equal(s.app.sse.stats().disconnects.shutdown, clients.length)
})

for (const transport of ['h2c', 'http2'] as const) {
  t.test(`connections of HTTP/2 do not keep an app from closing, over ${transport}`, async (t) => {
    if (transport === 'http2' && !requireBinary(t, 'openssl')) return
    const s = await serve(t, { transport })
    const reader = await s.connectH2()
    const [beside, stuckBeside] = [
      await s.connectH2({ over: reader }),
      await s.connectH2({ over: reader, stuckBefore: 'body' })
    ]
    const stuck = await s.connectH2({ stuckBefore: 'body' })
    s.app.sse.broadcastMessage('x'.repeat(KERNEL_HOLDS.http2))
    s.app.sse.broadcast('the last')
    // What a client has not taken yet when the app closes it gets when it resumes.
    await Promise.all([reader.take(2), beside.take(2)])
    await closesInTime(t, s.app)
    for (const client of [reader, beside]) {
      await client.waitForEnd()
      t.equal(client.events.at(-1)?.data, '"the last"')
      t.equal(client.retries.length, 1)
    }
    for (const client of [stuck, stuckBeside]) await client.waitForClose()
  })
}

t.test(
  'a client that keeps its HTTP/2 connection open, as browsers do, does not keep the app from closing',
  async (t) => {
    const { app, url } = await serve(t, { transport: 'h2c' })
    const session = http2.connect(url)
    t.teardown(() => session.destroy())
    const stream = session.request({ ':path': '/events' }).resume()
    await once(stream, 'response')
    const [closed] = await Promise.all([withTimeout(once(session, 'close'), 'the end of the connection'), app.close()])
    t.ok(closed)
    t.equal(stream.rstCode, http2.constants.NGHTTP2_NO_ERROR, 'its stream has come to a proper end')
  }
)

t.test('a client whose onConnect is running when the app closes is ended like any other', async (t) => {
  const held = gate()
  const left: DisconnectReason[] = []
  const s = await serve(t, {
    sse: {
      retry: 1000,
      async onConnect(client) {
        client.send('before')
        await held.pass()
        t.equal(client.send('after'), false)
      },
      onDisconnect: (_client, reason) => void left.push(reason)
    }
  })
  const client = await s.connect()
  await held.reached
  s.app.sse.broadcast('held back until onConnect is through')
  const closed = s.app.close()
  await client.waitForEnd()
  await closed
  held.open()
  t.strictSame(
    client.events.map(({ data }) => data),
    ['"before"']
  )
  t.equal(client.retries.length, 2)
  t.strictSame(left, ['shutdown'])
})

t.test('closing twice is closing once', async (t) => {
  const left: DisconnectReason[] = []
  const { app, connect } = await serve(t, {
    sse: { onDisconnect: (_client, reason) => void left.push(reason) }
  })
  const client = await connect()
  await Promise.all([app.close(), app.close()])
  await app.close()
  await client.waitForEnd()
  t.equal(client.retries.length, 1)
  t.strictSame(left, ['shutdown'])
})

t.test('an app that closes before it is ready, or before it listens, has closed its stream as well', async (t) => {
  const stages: Record<string, (app: FastifyInstance) => unknown> = {
    'before it has loaded': () => {},
    'before it is ready': (app) => app.after(),
    'before it listens': (app) => app.ready()
  }
  for (const [when, stage] of Object.entries(stages)) {
    const app = fastify()
    app.register(pylonSse)
    await stage(app)
    await app.close()
    await t.rejects(app.sse.publish('after'), { code: 'PYLON_SSE_ERR_CLOSED' }, when)
  }
})

t.test('an app that listens on every address of its name ends the streams on all of them', async (t) => {
  const addresses = ['127.0.0.1', '127.0.0.2']
  const { lookup } = dns
  t.intercept(dns, 'lookup', {
    // Not every machine has IPv6, where localhost has its other address.
    value: (name: string, options: dns.LookupOptions, callback: (...result: unknown[]) => void) => {
      if (name !== 'localhost' || !options.all) return Reflect.apply(lookup, dns, [name, options, callback])
      callback(
        null,
        addresses.map((address) => ({ address, family: 4 }))
      )
    }
  })
  const app = fastify()
  await app.register(pylonSse)
  await app.listen({ host: 'localhost', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const clients = await Promise.all(addresses.map((host) => connect({ host, port })))
  t.teardown(() => Promise.all(clients.map((client) => client.abort())))
  // As browsers open spare ones, which send nothing.
  const spares = addresses.map((host) => net.connect(port, host))
  t.teardown(() => spares.forEach((spare) => void spare.destroy()))
  for (const spare of spares) await once(spare, 'connect')
  const gone = spares.map((spare) => once(spare.resume(), 'close'))
  app.sse.broadcast('the last')
  // Without the deadline of a second Node and Fastify would take a minute and more.
  await withTimeout(app.close(), 'app.close()', 15_000)
  await withTimeout(Promise.all(gone), 'the spare connections to go', 15_000)
  for (const client of clients) {
    await client.waitForEnd()
    t.equal(client.events.at(-1)?.data, '"the last"')
  }
})
