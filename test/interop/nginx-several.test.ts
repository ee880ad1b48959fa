import fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import pylonSse from '../../lib/index.js'
import { readExample } from '../kit/example.js'
import { startNginx } from '../kit/nginx.js'
import { freePort } from '../kit/redis-server.js'
import { connect } from '../kit/sse-client.js'

t.setTimeout(300_000)

const CLIENTS = 60
/** How long a stream may last, ms. */
const LONG = 120_000

t.test(
  'nginx before three processes: a rolling restart is answered by those that run, and all get clients',
  async (t) => {
    const ports = [await freePort(), await freePort(), await freePort()]
    const apps: FastifyInstance[] = []
    const start = async (place: number) => {
      const app = fastify({ trustProxy: '127.0.0.1' })
      await app.register(pylonSse, { maxClientsPerIp: false })
      await app.listen({ host: '127.0.0.1', port: ports[place]! })
      apps[place] = app
    }
    for (const place of ports.keys()) await start(place)
    t.teardown(() => Promise.all(apps.map((app) => app.close())))
    const site = await readExample('proxies/nginx-several.conf')
    const port = await startNginx(t, site, { 3001: ports[0]!, 3002: ports[1]!, 3003: ports[2]! })
    if (port === undefined) return

    let isOver = false
    const failures: (number | undefined)[] = []
    const comeAgain = async () => {
      while (!isOver) {
        const reader = await connect(port, { path: '/events', headers: { accept: 'text/event-stream' } })
        if (reader.status !== 200) {
          failures.push(reader.status) // which ends an EventSource for good
          return reader.abort()
        }
        await reader.waitForEnd(LONG)
      }
    }
    /** Until all are back that an answer has not ended for good. */
    const settled = async () => {
      while (apps.reduce((sum, { sse }) => sum + sse.clientCount, 0) + failures.length < CLIENTS) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    }
    const clients = Array.from({ length: CLIENTS }, comeAgain)
    await settled()
    for (const place of ports.keys()) {
      await apps[place]!.close()
      await settled()
      await start(place)
    }
    const counts = apps.map(({ sse }) => sse.clientCount)
    t.comment(`${failures.length} answers but 200; clients ${counts.join(', ')}`)
    t.strictSame(failures, [], 'each request is answered by a process that runs')
    // The last to restart had no occasion to get any.
    t.ok(counts[0]! >= CLIENTS / 4, `the first to restart has ${counts[0]} clients`)
    t.ok(counts[1]! >= CLIENTS / 4, `the second has ${counts[1]}`)
    isOver = true
    await Promise.all(apps.map((app) => app.close()))
    await Promise.all(clients)
  }
)
