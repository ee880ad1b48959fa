import t from 'tap'
import { jetStream } from '../lib/backplane/jetstream.js'
import { testBackplane } from './kit/backplane-faults.js'
import { startNats } from './kit/nats-server.js'

testBackplane(t, async (t) => {
  const server = await startNats(t)
  return (
    server && {
      name: 'nats',
      port: server.port,
      backplane: (limits, port = server.port) => jetStream({ servers: `127.0.0.1:${port}`, ...limits }),
      start: () => server.start(),
      kill9: () => server.kill9(),
      freeze: () => server.freeze(),
      thaw: () => server.thaw(),
      async trim() {
        const { manager } = await server.admin()
        await manager.streams.purge('PYLON_SSE')
      },
      async flush() {
        const { manager } = await server.admin()
        await manager.streams.delete('PYLON_SSE')
      },
      async countConnections() {
        return (await server.connectionNames()).filter((name) => name === 'pylon-sse').length
      }
    }
  )
})
