// The options of the plugin, resolved.

import { type PylonSseOptions, type ResolvedOptions, resolveOptions } from '../../lib/api/options.js'

const MIB = 1024 * 1024
export const MAX_DELAY = 2 ** 31 - 1

export const DEFAULTS: Omit<ResolvedOptions, 'allowsOrigins'> = {
  path: '/events',
  decorator: 'sse',
  shards: 16,
  queueDepth: 1024,
  overflow: 'drop-oldest',
  history: { events: 10_000, bytes: 16 * MIB },
  keepAliveInterval: 30_000,
  keepAlive: 'comment',
  retry: undefined,
  maxClientsPerIp: 64,
  limitBy: undefined,
  maxClients: Number.POSITIVE_INFINITY,
  overLimit: undefined,
  maxConnectionAge: Number.POSITIVE_INFINITY,
  authorizeTopics: undefined,
  maxTopics: 100,
  maxTopicBytes: 256,
  publish: false,
  events: {},
  maxEventBytes: MIB,
  compress: false,
  stallTimeout: 60_000,
  cors: { origin: '*' },
  route: {},
  onConnect: undefined,
  onDisconnect: undefined,
  serialize: JSON.stringify,
  runs: { max: 10_000, bytes: 64 * MIB, silence: 15_000 },
  backplane: undefined
}

export const NAMES = Object.keys(DEFAULTS) as (keyof PylonSseOptions)[]

export function resolve(options: object): ResolvedOptions {
  return resolveOptions(options as PylonSseOptions)
}
