import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'
import t from 'tap'
import { withTimeout } from '../kit/patience.js'
import { serve } from '../kit/server.js'
import { connect } from '../kit/sse-client.js'

t.test(
  'Closing ends: behind @fastify/http-proxy streams pass at once and resume, and an app that is proxied closes',
  async (t) => {
    const s = await serve(t, { setup: (app) => app.get('/plain', async () => 'plain') })
    const front = fastify({ forceCloseConnections: true })
    t.teardown(() => front.close())
    await front.register(httpProxy, { upstream: s.url })
    await front.listen({ port: 0, host: '127.0.0.1' })
    const { port } = front.server.address() as { port: number }

    const first = await connect({ port })
    t.equal(first.status, 200)
    s.app.sse.broadcast(1)
    t.equal((await first.next()).data, '1')
    await first.close()
    s.app.sse.broadcast(2)
    const second = await connect({ port }, { lastEventId: first.lastEventId })
    t.equal((await second.next()).data, '2')
    // The proxy keeps the connections of ordinary requests open for the next ones.
    for (let i = 0; i < 3; i++) t.equal(await (await fetch(`http://127.0.0.1:${port}/plain`)).text(), 'plain')

    await withTimeout(s.app.close(), 'app.close()', 5000)
    await second.waitForEnd()
    t.equal(second.retries.length, 1, 'after a proper end, with the time to come back')
  }
)
