import t from 'tap'
import { redisStreams } from '../lib/backplane/redis-streams.js'
import { testBackplane } from './kit/backplane-faults.js'
import { startRedis } from './kit/redis-server.js'

testBackplane(t, async (t) => {
  const server = await startRedis(t)
  return (
    server && {
      name: 'redis',
      port: server.port,
      backplane: (limits, port = server.port) => redisStreams({ url: `redis://127.0.0.1:${port}`, ...limits }),
      start: () => server.start(),
      kill9: () => server.kill9(),
      freeze: () => server.freeze(),
      thaw: () => server.thaw(),
      async trim() {
        await server.admin.xtrim('pylon-sse', 'MAXLEN', 0)
      },
      async flush() {
        await server.admin.flushall()
      },
      async countConnections() {
        return (await server.connectionNames()).filter((name) => name === 'pylon-sse').length
      }
    }
  )
})
