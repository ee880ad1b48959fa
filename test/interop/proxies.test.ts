import t from 'tap'
import type { SseClient } from '../../lib/index.js'
import { PROXY_NAMES, startProxy } from '../kit/proxies.js'
import { serve } from '../kit/server.js'
import { connect } from '../kit/sse-client.js'
import { Watch } from '../kit/watch.js'

t.setTimeout(120_000)

/** Those that tell the app at once when their client has gone; the others find out when they write to it. */
const AT_ONCE = ['nginx', 'haproxy', 'varnish', 'caddy', 'squid']
const accept = { accept: 'text/event-stream' }

for (const name of PROXY_NAMES) {
  t.test(`${name}, configured as in the docs, passes events at once, and tells of a closed tab`, async (t) => {
    const gone: string[] = []
    const clients: SseClient[] = []
    const watch = new Watch(() => `gone: ${gone.length}`)
    const s = await serve(t, {
      sse: {
        // Where the proxy tells by itself, no keepalive may be what did it.
        keepAliveInterval: AT_ONCE.includes(name) ? 0 : 1000,
        onConnect: (client) => void clients.push(client),
        onDisconnect(client) {
          gone.push(client.id)
          watch.changed()
        }
      },
      fastify: { trustProxy: '127.0.0.1' },
      setup: (app) => app.get('/ready', (_request, reply) => reply.code(204).send())
    })
    const port = await startProxy(t, name, s.port!)
    if (port === undefined) return
    const open = async (lastEventId?: string) => {
      const headers = { ...accept, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) }
      const reader = await connect(port, { path: '/events', headers, localAddress: '127.0.0.2' })
      t.teardown(() => reader.abort())
      return reader
    }

    const reader = await open()
    t.equal(reader.status, 200)
    t.equal(clients[0]!.ip, '127.0.0.2', "the app has the client's own address")
    let lastEventId: string | undefined
    for (let i = 0; i < 5; i++) {
      // One by one: none is held back until another pushes it out.
      s.app.sse.broadcast(i)
      const event = await reader.until(({ event }) => event === undefined)
      t.equal(event.data, `${i}`)
      lastEventId = event.id
    }

    const from = performance.now()
    await reader.abort()
    await watch.until(() => (gone.length > 0 ? true : undefined), 'the end of the client')
    t.comment(`${name}: a closed tab was noticed after ${Math.round(performance.now() - from)} ms`)

    s.app.sse.broadcast('meanwhile')
    const resumed = await open(lastEventId)
    const { data } = await resumed.until(({ event }) => event === undefined)
    t.equal(data, '"meanwhile"', 'it goes on from its last event')
  })
}
