// The options of `redisStreams`, and their checks.

import { InvalidOptionError } from '../../api/errors.js'
import { onlyKnown, refuse, whole } from '../../api/input/checks.js'
import { oneEngine } from '../engine-setup.js'
import { LIMITS, type LimitOptions } from '../limits.js'
import { MAX_COUNT } from '../newest-entries.js'
import type { RedisClient } from './client.js'

/** Options of `redisStreams`. It takes one of `client` and `url`. */
export interface RedisStreamsOptions extends LimitOptions {
  /**
   * A client that the app owns: `Redis` or `Cluster` of ioredis or iovalkey, or @fastify/redis's `app.redis`. The plugin publishes
   * and reads through two connections of its own, duplicates of the client. It sends nothing through the client itself, so the app
   * may close it.
   */
  client?: RedisClient | undefined
  /** Instead of `client`: `redis://user:password@host:port/db`, or `rediss://` for TLS. Needs the package ioredis. */
  url?: string | undefined
  /** Key of the stream. All processes that use the same key get each other's events. Default: `'pylon-sse'`. */
  key?: string | undefined
  /**
   * Approximate number of entries that the stream keeps, at least 1,000. Default: 100,000. Above that, Redis drops the oldest ones.
   * If a process was away and missed some of them, its clients get a `resync` with the reason `backplane`.
   */
  maxLength?: number | undefined
}

/** The options with their defaults. */
export type CheckedOptions = Omit<RedisStreamsOptions, 'key' | 'maxLength'> & { key: string; maxLength: number }

const OPTIONS = ['client', 'url', 'key', 'maxLength', ...LIMITS]

/** @throws InvalidOptionError */
export function checkOptions(options: RedisStreamsOptions): CheckedOptions {
  const { client, url, key = 'pylon-sse', maxLength = 100_000, ...limits } = options
  oneEngine({ client, url })
  if (
    client !== undefined &&
    !['duplicate', 'multi', 'call'].every((method) => typeof client[method as 'call'] === 'function')
  )
    throw new InvalidOptionError('backplane.client', 'something else', 'a Redis or Cluster of ioredis or iovalkey')
  // The error does not show the URL, which may have a password.
  if (url !== undefined && !isRedisUrl(url))
    throw new InvalidOptionError('backplane.url', 'something else', 'a URL such as redis://localhost:6379')
  if (typeof key !== 'string' || key === '') refuse('backplane.key', key, 'a key of Redis')
  whole(MAX_COUNT)('backplane.maxLength', maxLength)
  onlyKnown(limits, OPTIONS, 'backplane.')
  return { client, url, key, maxLength, ...limits }
}

function isRedisUrl(url: unknown): boolean {
  const { protocol, host } = URL.canParse(String(url)) ? new URL(String(url)) : { protocol: '', host: '' }
  return ['redis:', 'rediss:'].includes(protocol) && host !== ''
}
