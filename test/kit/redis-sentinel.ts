// Starts a Redis Sentinel with its servers.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { requireBinary } from './binary.js'
import { withTimeout } from './patience.js'
import { eventually } from './processes.js'
import { freePort, type RedisServer, startRedis } from './redis-server.js'
import { freeze } from './signals.js'

const NAME = 'main'
/** How long the master may be silent before the sentinel promotes the replica by itself, ms: in a test it must not. */
const DOWN_AFTER = 60_000

/** A master, its replica, and a sentinel that watches them, until the end of the test. */
export class RedisSentinel {
  readonly master: RedisServer
  readonly replica: RedisServer
  readonly port: number
  readonly #admin: Redis
  #process: ChildProcess | undefined

  private constructor(master: RedisServer, replica: RedisServer, port: number) {
    this.master = master
    this.replica = replica
    this.port = port
    this.#admin = new Redis({ host: '127.0.0.1', port, enableReadyCheck: false, lazyConnect: true })
    this.#admin.on('error', () => {})
  }

  /** Nothing where there is no redis-server on this machine. @param config of both servers */
  static async start(t: Test, config: string[] = [], downAfter = DOWN_AFTER): Promise<RedisSentinel | undefined> {
    const binary = requireBinary(t, 'redis-server')
    if (binary === undefined) return undefined
    const master = await startRedis(t, { config: ['repl-diskless-sync-delay 0', ...config] })
    const following = [`replicaof 127.0.0.1 ${master!.port}`, 'repl-diskless-sync-delay 0', ...config]
    const replica = await startRedis(t, { config: following })
    await eventually(async () => (await replica!.replication()).master_link_status === 'up', 'the replica follows')
    const sentinel = new RedisSentinel(master!, replica!, await freePort())
    await sentinel.#watch(t, binary, downAfter)
    return sentinel
  }

  /** A client as an app has it, until the end of the test. */
  client(t: Test, options: { failoverDetector?: boolean } = {}): Redis {
    const client = new Redis({ sentinels: [{ host: '127.0.0.1', port: this.port }], name: NAME, ...options })
    client.on('error', () => {})
    // With `failoverDetector`, a client that is disconnected while it connects still subscribes to the sentinels.
    client.once('end', () => client.disconnect())
    t.teardown(() => client.disconnect())
    return client
  }

  /** Has the sentinel promote the replica now, whether or not the master lives. */
  async failOver(): Promise<void> {
    await eventually(async () => {
      const [, port] = (await this.#admin.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME)) as string[]
      if (Number(port) === this.replica.port) return true
      // Refused while it is under way, or the sentinel has not heard of the replica for a while.
      await this.#admin.call('SENTINEL', 'FAILOVER', NAME).catch(() => {})
      return false
    }, 'the sentinel has promoted the replica')
  }

  /** Connections that hear of failovers. */
  async countSubscribers(): Promise<number> {
    const list = (await this.#admin.client('LIST')) as string
    return list.split('\n').filter((line) => / sub=[1-9]/.test(line)).length
  }

  freeze(): void {
    freeze([this.#process!.pid!])
  }

  async #watch(t: Test, binary: string, downAfter: number): Promise<void> {
    const file = join(this.master.folder, 'sentinel.conf')
    const lines = [
      `port ${this.port}`,
      'bind 127.0.0.1',
      `dir ${this.master.folder}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${this.master.port} 1`,
      `sentinel down-after-milliseconds ${NAME} ${downAfter}`,
      `sentinel failover-timeout ${NAME} 30000`
    ]
    await writeFile(file, `${lines.join('\n')}\n`)
    const child = spawn(binary, [file, '--sentinel'], { stdio: 'ignore' })
    this.#process = child
    t.teardown(() => {
      this.#admin.disconnect()
      return end(child)
    })
    await eventually(async () => {
      const replicas = (await this.#admin.call('SENTINEL', 'REPLICAS', NAME).catch(() => [])) as string[][]
      // It promotes no replica whose state it does not know.
      return replicas.some((fields) => fields.includes('ok') && fields.includes('slave'))
    }, 'the sentinel knows the replica')
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await withTimeout(gone, 'the end of the sentinel')
}
