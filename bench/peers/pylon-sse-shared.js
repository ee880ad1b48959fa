// This plugin with a backplane, for bench/backplane.js.

import { pylonSse } from 'pylon-sse'
import { jetStream } from 'pylon-sse/jetstream'
import { postgres } from 'pylon-sse/postgres'
import { redisStreams } from 'pylon-sse/redis-streams'

/** Large bounds, so that a delay of the machine shows as latency and not as lost events. */
const BOUNDS = { maxPending: 50_000, maxPendingBytes: 64 * 1024 * 1024 }
const BACKPLANES = {
  redis: (url) => redisStreams({ url, ...BOUNDS }),
  nats: (servers) => jetStream({ servers, ...BOUNDS }),
  postgres: (connectionString) => postgres({ connectionString, migrate: true, ...BOUNDS })
}

/** This plugin with a backplane, on one of several processes. */
export async function setup(app, { engine, url }) {
  await app.register(pylonSse, { keepAliveInterval: 0, backplane: BACKPLANES[engine](url) })
  const { sse } = app
  return {
    publish: (data) => sse.broadcast(data),
    publishAwaited: (data) => sse.publish(data),
    get count() {
      return sse.clientCount
    }
  }
}
