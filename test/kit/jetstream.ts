// Backplanes over JetStream, and the streams of their tests.

import type { StreamConfig } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Test } from 'tap'
import { type JetStreamOptions, jetStream } from '../../lib/backplane/nats/jetstream.js'
import type { NatsServer } from './nats-server.js'

export const UNAVAILABLE = 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE'
export const REFUSED = 'PYLON_SSE_ERR_BACKPLANE_REFUSED'

/** A backplane over the server, closed before the server ends. */
export function over(t: Test, server: NatsServer, options: Partial<JetStreamOptions> = {}) {
  const backplane = jetStream({ ...(options.connection ? {} : server.clientOptions), ...options } as JetStreamOptions)
  t.teardown(() => backplane.close())
  return backplane
}

/** A connection of the app's own, closed before the server ends. */
export async function connectTo(t: Test, server: NatsServer, options = {}) {
  const connection = await connect({ ...server.clientOptions, ...options })
  t.teardown(() => connection.close())
  return connection
}

/** What the server says of a stream. */
export async function infoOf(server: NatsServer, stream = 'PYLON_SSE') {
  const { manager } = await server.admin()
  return manager.streams.info(stream)
}

/** A stream that is there before the app. */
export async function addStream(server: NatsServer, config: Partial<StreamConfig>) {
  const { manager } = await server.admin()
  const name = 'PYLON_SSE'
  return manager.streams.add({ name, subjects: ['pylon-sse.events'], max_msgs: 1000, ...config })
}
