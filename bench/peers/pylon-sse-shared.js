import { pylonSse } from 'pylon-sse'
import { jetStream } from 'pylon-sse/jetstream'
import { redisStreams } from 'pylon-sse/redis-streams'

/** What the machine holds up is to show in the latency, where an app would rather lose it. */
const ROOM = { maxPending: 50_000, maxPendingBytes: 64 * 1024 * 1024 }
const BACKPLANES = {
  redis: (url) => redisStreams({ url, ...ROOM }),
  nats: (servers) => jetStream({ servers, ...ROOM })
}

/** This plugin on one of several processes. */
export async function setup(app, { engine, url }) {
  await app.register(pylonSse, { keepAliveInterval: 0, backplane: BACKPLANES[engine](url) })
  const { sse } = app
  return {
    publish: (data) => sse.broadcast(data),
    get count() {
      return sse.clientCount
    }
  }
}
