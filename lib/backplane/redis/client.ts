// Clients of Redis: their shape, the plugin's own duplicates of them, and their addresses. When one is connected is in link.ts.

import { loadPackage } from '../engine-setup.js'

/**
 * The part of a Redis client that the plugin uses: `Redis` or `Cluster` of ioredis 5 or 6, or of iovalkey. It is declared by
 * its shape, so that an app need not install the types of either package.
 */
export interface RedisClient {
  /** `'ready'` if the client accepts commands, `'wait'` before `connect` is called. */
  readonly status: string
  readonly isCluster: boolean
  readonly options: object
  connect(): Promise<void>
  /** Ends the connection without waiting for pending replies. */
  disconnect(): void
  duplicate(...overrides: never[]): unknown
  call(command: string, ...args: (string | number)[]): Promise<unknown>
  multi(commands: unknown[][]): { exec(): Promise<[error: Error | null, result: unknown][] | null> }
  /** The socket of the connection. */
  readonly stream?: { on(event: 'error', listener: () => void): unknown; readonly bytesRead?: number }
  /** Only a `Cluster` has it: the clients of its nodes. */
  nodes?(): Pick<RedisClient, 'stream'>[]
  on(event: string, listener: (error: Error) => void): unknown
  once(event: string, listener: () => void): unknown
}

/** The options of a client that say where it connects to. */
interface AddressOptions {
  host?: string
  port?: number
  path?: string
  sentinels?: ({ host?: string; port?: number } | string)[] | null
  /** Name under which the sentinels watch the master. */
  name?: string
  redisOptions?: object
}

/** How long connecting may take, ms. */
export const CONNECT_TIMEOUT = 3000

/**
 * Options of the plugin's own connections. A command fails at once if the connection cannot be used: the driver must not queue,
 * resend or reconnect by itself, because the plugin does that. Timeouts that the app has set for its own commands are
 * removed, because they would interrupt a blocking read.
 */
const OWN_OPTIONS = {
  lazyConnect: true,
  retryStrategy: null,
  sentinelRetryStrategy: null,
  reconnectOnError: null,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: CONNECT_TIMEOUT,
  sentinelCommandTimeout: CONNECT_TIMEOUT,
  disconnectTimeout: 100,
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
  enableAutoPipelining: false,
  // The check calls INFO, and the user may not have the right to do that.
  enableReadyCheck: false,
  connectionName: 'pylon-sse',
  // Replies must have the shape of RESP2, whatever the app's client uses.
  protocol: 2,
  replyMapping: 'legacy',
  stringNumbers: false,
  readOnly: false,
  monitor: false
}

/** The pool of a `Cluster` sets `lazyConnect` and `enableOfflineQueue` for each node itself. */
const { lazyConnect, enableOfflineQueue, ...OWN_NODE_OPTIONS } = OWN_OPTIONS
const OWN_CLUSTER_OPTIONS = {
  lazyConnect,
  enableOfflineQueue,
  clusterRetryStrategy: null,
  clusterNodeRetryStrategy: null,
  enableAutoPipelining: false,
  slotsRefreshTimeout: CONNECT_TIMEOUT,
  // Two replicas can lag by different amounts, so a read could go back in time.
  scaleReads: 'master'
}

/** Creates a client for the same server, with a connection of the plugin's own. The caller connects it. */
export function duplicate(client: RedisClient): RedisClient {
  const { options } = client as { options: AddressOptions }
  if (client.isCluster) {
    const { redisOptions } = options
    const overrides = [[], { ...OWN_CLUSTER_OPTIONS, redisOptions: { ...redisOptions, ...OWN_NODE_OPTIONS } }]
    return client.duplicate(...(overrides as never[])) as RedisClient
  }
  // With Sentinel, the ready check makes sure that the server is the master.
  const overrides = [options.sentinels ? { ...OWN_OPTIONS, enableReadyCheck: true } : OWN_OPTIONS]
  return client.duplicate(...(overrides as never[])) as RedisClient
}

/** Creates a client for a URL. The caller connects it. */
export async function create(
  url: string,
  load: () => Promise<unknown> = () => import('ioredis')
): Promise<RedisClient> {
  const { Redis } = (await loadPackage('ioredis', load)) as { Redis: new (url: string, options: object) => RedisClient }
  return new Redis(url, OWN_OPTIONS)
}

/**
 * Ignores further errors of a client's sockets. The driver listens only to the first one. With TLS, a connection that ends
 * during the handshake can emit a second one, which would end the process.
 */
export function ignoreLateErrors(client: RedisClient): void {
  for (const { stream } of client.isCluster ? client.nodes!() : [client]) stream?.on('error', () => {})
}

/**
 * Closes the connections to sentinels that a client still has after it lost the server. With `failoverDetector: true` the driver
 * closes them only if it ended the connection itself; left open, they would keep the process alive.
 */
export function release(client: RedisClient): void {
  if ((client.options as AddressOptions).sentinels) client.disconnect()
}

/** Bytes received on all connections of a client. */
export function receivedBytes(client: RedisClient): number {
  const nodes = client.isCluster ? client.nodes!() : [client]
  return nodes.reduce((sum, { stream }) => sum + (stream?.bytesRead ?? 0), 0)
}

/** The address of a client, for messages. It contains no password. */
export function addressOf(client: RedisClient): string {
  const { host, port, path, sentinels, name } = client.options as AddressOptions
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
  const { host = '127.0.0.1', port = 6379 } = node as AddressOptions
  return `${host}:${port}`
}
