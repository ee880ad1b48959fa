// NATS for the tests that are the same for all engines.

import type { Test } from 'tap'
import { jetStream } from '../../lib/backplane/nats/jetstream.js'
import type { ForgetfulEngine } from './engine-losses.js'
import { controlsOf } from './engines.js'
import { startNats } from './nats-server.js'

/** A NATS server for the tests that all engines share. */
export async function natsEngine(t: Test): Promise<ForgetfulEngine | undefined> {
  const server = await startNats(t)
  return (
    server && {
      name: 'nats',
      ...controlsOf(server),
      backplane: (limits, port = server.port) => jetStream({ servers: `127.0.0.1:${port}`, ...limits }),
      async trim() {
        const { manager } = await server.admin()
        await manager.streams.purge('PYLON_SSE')
      },
      async flush() {
        const { manager } = await server.admin()
        await manager.streams.delete('PYLON_SSE')
      }
    }
  )
}
