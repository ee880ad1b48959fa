import { loadPackage } from '../optional-package.js'

/**
 * What is used of a client of Redis: `Redis` or `Cluster` of ioredis 5 or 6, or of iovalkey. Told by its shape, so that
 * the types of neither need be installed.
 */
export interface RedisClient {
  /** `'ready'` when it takes commands, `'wait'` when it has not been asked to connect. */
  readonly status: string
  readonly isCluster: boolean
  readonly options: object
  connect(): Promise<void>
  /** Ends the connection without waiting for answers. */
  disconnect(): void
  duplicate(...overrides: never[]): unknown
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  multi(commands: unknown[][]): { exec(): Promise<[error: Error | null, result: unknown][] | null> }
  /** Its socket. */
  readonly stream?: { on(event: 'error', listener: () => void): unknown; readonly bytesRead?: number }
  /** Of a cluster. */
  nodes?(): Pick<RedisClient, 'stream'>[]
  on(event: string, listener: (error: Error) => void): unknown
  once(event: string, listener: () => void): unknown
}

/** What the options of a client tell of where it connects to. */
interface Whereabouts {
  host?: string
  port?: number
  path?: string
  sentinels?: ({ host?: string; port?: number } | string)[] | null
  /** As Redis knows the node that sentinels watch. */
  name?: string
  redisOptions?: object
}

/** How long a connection may take to be made, ms. */
export const CONNECT_TIMEOUT = 3000

/**
 * A connection of one's own fails at once where it cannot be used: nothing is queued, sent again or connected again
 * unseen, and nothing that the app has set for its own commands cuts a blocking one.
 */
const OWN = {
  lazyConnect: true,
  retryStrategy: null,
  sentinelRetryStrategy: null,
  reconnectOnError: null,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: CONNECT_TIMEOUT,
  disconnectTimeout: 100,
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
  enableAutoPipelining: false,
  // It takes the right to INFO, which a user of streams need not have.
  enableReadyCheck: false,
  connectionName: 'pylon-sse',
  // Answers have the shape of Redis 6, whatever the app's client is set to.
  protocol: 2,
  replyMapping: 'legacy',
  stringNumbers: false,
  readOnly: false,
  monitor: false
}

/** Those of the nodes are the pool's to set. */
const { lazyConnect, enableOfflineQueue, ...OWN_NODE } = OWN
const OWN_CLUSTER = {
  lazyConnect,
  enableOfflineQueue,
  clusterRetryStrategy: null,
  clusterNodeRetryStrategy: null,
  enableAutoPipelining: false,
  slotsRefreshTimeout: CONNECT_TIMEOUT,
  // A replica lags behind what has been read from another.
  scaleReads: 'master'
}

/** Another client for the same server, whose connection is one's own. It has yet to be told to connect. */
export function duplicate(client: RedisClient): RedisClient {
  const { options } = client as { options: Whereabouts }
  if (client.isCluster) {
    const { redisOptions } = options
    const overrides = [[], { ...OWN_CLUSTER, redisOptions: { ...redisOptions, ...OWN_NODE } }]
    return client.duplicate(...(overrides as never[])) as RedisClient
  }
  // Which of two servers is the master only the check tells.
  const overrides = [options.sentinels ? { ...OWN, enableReadyCheck: true } : OWN]
  return client.duplicate(...(overrides as never[])) as RedisClient
}

/** A client for a URL, whose connection is one's own. It has yet to be told to connect. */
export async function create(
  url: string,
  load: () => Promise<unknown> = () => import('ioredis')
): Promise<RedisClient> {
  const { Redis } = (await loadPackage('ioredis', load)) as { Redis: new (url: string, options: object) => RedisClient }
  return new Redis(url, OWN)
}

/**
 * A driver hears the first error of a socket alone. TLS may have a second one, when a connection ends amid the
 * handshake, and it would end the process.
 */
export function hearErrors(client: RedisClient): void {
  for (const { stream } of client.isCluster ? client.nodes!() : [client]) stream?.on('error', () => {})
}

/**
 * Ends what is left of a client that has ended. With Sentinel and `failoverDetector: true` a driver keeps its connections to
 * the sentinels, where the connection to the server was lost and not ended by itself: they would hold the process.
 */
export function release(client: RedisClient): void {
  if ((client.options as Whereabouts).sentinels) client.disconnect()
}

/** Bytes that have come by its connections. */
export function receivedBytes(client: RedisClient): number {
  const nodes = client.isCluster ? client.nodes!() : [client]
  return nodes.reduce((sum, { stream }) => sum + (stream?.bytesRead ?? 0), 0)
}

/** Where a client connects to, for messages. It holds no password. */
export function addressOf(client: RedisClient): string {
  const { host, port, path, sentinels, name } = client.options as Whereabouts
  if (client.isCluster) {
    const { startupNodes = [] } = client as { startupNodes?: unknown[] }
    return startupNodes.map(addressOfNode).join(', ')
  }
  if (sentinels) return `${name} by ${sentinels.map(addressOfNode).join(', ')}`
  return path || `${host}:${port}`
}

function addressOfNode(node: unknown): string {
  if (typeof node === 'number') return `127.0.0.1:${node}`
  if (typeof node === 'string') return node.replace(/^.*@|^rediss?:\/\//, '')
  const { host = '127.0.0.1', port = 6379 } = node as Whereabouts
  return `${host}:${port}`
}
