// Starts a Redis Cluster.

import { Cluster } from 'ioredis'
import type { Test } from 'tap'
import { eventually } from './processes.js'
import { freePort, type RedisServer, startRedis } from './redis-server.js'

const SLOTS = 16_384
const MASTERS = 3
/** How long a node may be silent before the others elect a replica in its place, ms. */
const NODE_TIMEOUT = 2000
/** How long the first attempt to hand over may take, ms; each further one twice as long. */
const HAND_OVER = 500

/** A Redis Cluster until the end of the test: three masters, and a replica of the one that holds a key. */
export class RedisCluster {
  /** Those that hold the key, in turn. */
  readonly master: RedisServer
  readonly replica: RedisServer
  readonly #servers: readonly RedisServer[]

  private constructor(servers: readonly RedisServer[], master: RedisServer, replica: RedisServer) {
    this.#servers = servers
    this.master = master
    this.replica = replica
  }

  /** Nothing where there is no redis-server on this machine. */
  static async start(t: Test, key: string): Promise<RedisCluster | undefined> {
    const servers: RedisServer[] = []
    for (let i = 0; i <= MASTERS; i++) {
      const config = [
        'cluster-enabled yes',
        `cluster-port ${await freePort()}`,
        'cluster-announce-ip 127.0.0.1',
        `cluster-node-timeout ${NODE_TIMEOUT}`,
        'cluster-replica-validity-factor 0',
        // Only when a test asks for it: on a busy machine a node may be silent for long.
        'cluster-replica-no-failover yes',
        'repl-diskless-sync-delay 0'
      ]
      const server = await startRedis(t, { config })
      if (server === undefined) return undefined
      servers.push(server)
    }
    const slot = await servers[0]!.admin.cluster('KEYSLOT', key)
    const share = Math.ceil(SLOTS / MASTERS)
    const masters = servers.slice(0, MASTERS)
    for (const [i, { admin }] of masters.entries()) {
      await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
      await admin.call('CLUSTER', 'ADDSLOTSRANGE', i * share, Math.min((i + 1) * share, SLOTS) - 1)
    }
    const cluster = new RedisCluster(servers, masters[Math.floor(slot / share)]!, servers[MASTERS]!)
    await cluster.#meet()
    return cluster
  }

  /** A client as an app has it, until the end of the test. */
  client(t: Test): Cluster {
    const client = new Cluster(this.#servers.map(({ port }) => ({ host: '127.0.0.1', port })))
    client.on('error', () => {})
    t.teardown(() => client.disconnect())
    return client
  }

  /** Whether replicas take the place of masters that are gone. */
  async setFailover(isOn: boolean): Promise<void> {
    for (const { admin } of this.#servers) await admin.config('SET', 'cluster-replica-no-failover', isOn ? 'no' : 'yes')
  }

  /** Has a replica take over, and nothing be lost. An attempt lapses where not all know of the last takeover yet. */
  async handOver(to: RedisServer): Promise<void> {
    let pause = HAND_OVER
    let next = 0
    await eventually(async () => {
      const { role, master_link_status } = await to.replication()
      const now = performance.now()
      if (master_link_status === 'up' && now > next) {
        next = now + pause
        pause *= 2
        // Refused while the servers do not hear each other.
        await to.admin.call('CLUSTER', 'FAILOVER').catch(() => {})
      }
      return role === 'master'
    }, 'the replica has taken over')
  }

  async #meet(): Promise<void> {
    const [first, ...others] = this.#servers
    for (const { port, busPort } of others.map(withBusPort))
      await first!.admin.call('CLUSTER', 'MEET', '127.0.0.1', port, busPort)
    await this.#untilAllKnow(/cluster_state:ok/)
    await this.#untilAllKnow(new RegExp(`cluster_known_nodes:${this.#servers.length}`))
    const id = (await this.master.admin.cluster('MYID')) as string
    await eventually(async () => {
      // It may not have heard of the master yet.
      await this.replica.admin.call('CLUSTER', 'REPLICATE', id).catch(() => {})
      return (await this.replica.replication()).master_link_status === 'up'
    }, 'the replica follows its master')
  }

  async #untilAllKnow(pattern: RegExp): Promise<void> {
    for (const { admin } of this.#servers)
      await eventually(async () => pattern.test((await admin.cluster('INFO')) as string), `all know: ${pattern}`)
  }
}

function withBusPort(server: RedisServer): { port: number; busPort: string } {
  const line = server.options.config!.find((line) => line.startsWith('cluster-port '))!
  return { port: server.port, busPort: line.split(' ')[1]! }
}
