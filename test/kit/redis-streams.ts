// Backplanes over Redis Streams, and the servers and clients of their tests.

import type { Cluster, Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { Backplane } from '../../lib/backplane/backplane.js'
import { type RedisStreamsOptions, redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { type RedisServer, type RedisServerOptions, startRedis } from './redis-server.js'

/** The key of the stream, by default. */
export const KEY = 'pylon-sse'

/** A backplane until the end of the test. */
export function open(t: Test, options: RedisStreamsOptions): Backplane {
  const backplane = redisStreams(options)
  t.teardown(() => backplane.close())
  return backplane
}

/** A client of the app's own. */
export function ownClient<Client extends Redis | Cluster>(t: Test, client: Client): Client {
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  return client
}

/** A test with a server of its own; without the program it is skipped, or fails where CI is set. */
export function withRedis(
  title: string,
  run: (t: Test, server: RedisServer) => Promise<void>,
  options?: RedisServerOptions
) {
  t.test(title, async (t) => {
    const server = await startRedis(t, options)
    if (server !== undefined) await run(t, server)
  })
}

/** What an error says, and all that a logger would print of it. */
export async function failureOf(
  promise: Promise<unknown>
): Promise<Error & { code: string; cause: Error; all: string }> {
  try {
    await promise
  } catch (error) {
    const { message, cause } = error as Error & { cause: Error }
    const all = JSON.stringify([message, cause?.message, cause?.stack, { ...(error as Error) }, { ...cause }])
    return Object.assign(error as Error & { code: string; cause: Error }, { all })
  }
  throw new Error('it was expected to fail')
}
