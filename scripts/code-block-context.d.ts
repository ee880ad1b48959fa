// What blocks of code in README.md and docs/ take from their surroundings; see check-code-blocks.js.
import '@fastify/jwt'
import '@fastify/swagger'
import type { FastifyInstance, onRequestAsyncHookHandler } from 'fastify'
import type { Redis as RedisClient } from 'ioredis'
import type { Pool } from 'pg'
import type * as plugin from 'pylon-sse'
import type { SseConnection } from 'pylon-sse/client'
import type { redisStreams as streams } from 'pylon-sse/redis-streams'

declare module '@fastify/jwt' {
  interface FastifyJWT {
    user: { sub: string; exp: number }
  }
}

declare global {
  const app: FastifyInstance
  const pylonSse: typeof plugin.pylonSse
  const redisStreams: typeof streams
  const Redis: typeof RedisClient
  const pool: Pool

  // A hook of the reader's.
  const mayEnter: onRequestAsyncHookHandler

  // A page of the reader's.
  const live: SseConnection
  const show: (state: unknown) => void
  const update: (row: unknown) => void
  const refresh: () => Promise<string>

  // Types that the signature in docs/backplane.md names.
  type BackplaneEvent = plugin.BackplaneEvent
  type BackplaneLimits = plugin.BackplaneLimits
  type BackplaneListener = plugin.BackplaneListener
  type HistoryBounds = plugin.HistoryBounds
  type Joined = plugin.Joined
  type Parcel = plugin.Parcel
  type Transaction = plugin.Transaction

  // What docs/backplane.md leaves to its reader.
  const url: string
  const myBackplane: (options: { url: string; key: string }) => plugin.Backplane
  const engine: {
    kill(): Promise<void>
    start(): Promise<void>
    delete(key: string): Promise<void>
    backUp(): Promise<void>
    restore(): Promise<void>
    append(key: string, text: string): Promise<void>
  }
}
