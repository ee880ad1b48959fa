// Redis for the tests that are the same for all engines.

import type { Test } from 'tap'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import type { ForgetfulEngine } from './engine-losses.js'
import { controlsOf } from './engines.js'
import { startRedis } from './redis-server.js'

/** A Redis for the tests that all engines share. */
export async function redisEngine(t: Test): Promise<ForgetfulEngine | undefined> {
  const server = await startRedis(t)
  return (
    server && {
      name: 'redis',
      ...controlsOf(server),
      backplane: (limits, port = server.port) => redisStreams({ url: `redis://127.0.0.1:${port}`, ...limits }),
      async trim() {
        await server.admin.xtrim('pylon-sse', 'MAXLEN', 0)
      },
      async flush() {
        await server.admin.flushall()
      }
    }
  )
}
