import type { Test } from 'tap'
import { jetStream } from '../../lib/backplane/jetstream.js'
import type { ForgetfulEngine } from './engine-losses.js'
import { startNats } from './nats-server.js'

/** A NATS server for the tests that all engines share. */
export async function natsEngine(t: Test): Promise<ForgetfulEngine | undefined> {
  const server = await startNats(t)
  return (
    server && {
      name: 'nats',
      port: server.port,
      backplane: (limits, port = server.port) => jetStream({ servers: `127.0.0.1:${port}`, ...limits }),
      start: () => server.start(),
      kill9: () => server.kill9(),
      keep: () => server.keep(),
      restore: () => server.restore(),
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
}
