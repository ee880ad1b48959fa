// Starts a Redis server.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Test } from 'tap'
import { requireBinary } from './binary.js'
import { KeptData } from './kept-data.js'
import { withTimeout } from './patience.js'
import { freeze } from './signals.js'

/** How long a failover may take, ms. */
const PROMOTION = 30_000

/** What clients need to connect. */
interface ClientOptions {
  host: string
  port: number
  password?: string
  tls?: { ca: string }
}

export interface RedisServerOptions {
  /** Lines of redis.conf. */
  config?: string[]
  password?: string
  /** Whether it listens with TLS alone. */
  tls?: { key: string; cert: string }
}

/** A redis-server until the end of the test; nothing where there is none on this machine. */
export async function startRedis(t: Test, options: RedisServerOptions = {}): Promise<RedisServer | undefined> {
  const binary = requireBinary(t, 'redis-server')
  if (binary === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-redis-'))
  const server = new RedisServer(binary, folder, await freePort(), options)
  t.teardown(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  await server.start()
  return server
}

/** A port that nobody listens on. It is free once this has resolved. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A server that a test owns: it keeps its data over restarts, as what it has acknowledged is on disk. */
export class RedisServer {
  readonly port: number
  readonly folder: string
  readonly options: RedisServerOptions
  readonly #binary: string
  #process: ChildProcess | undefined
  #output = ''
  #admin: Redis | undefined
  #kept: KeptData | undefined

  constructor(binary: string, folder: string, port: number, options: RedisServerOptions) {
    this.#binary = binary
    this.folder = folder
    this.port = port
    this.options = options
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** A connection of the test's own, which the plugin knows nothing of. */
  get admin(): Redis {
    this.#admin ??= new Redis({ ...this.clientOptions, connectionName: 'test', lazyConnect: true }).on(
      'error',
      () => {}
    )
    return this.#admin
  }

  get clientOptions(): ClientOptions {
    const { password, tls } = this.options
    return { host: '127.0.0.1', port: this.port, ...(password && { password }), ...(tls && { tls: { ca: tls.cert } }) }
  }

  /** Resolves when it takes commands. */
  async start(): Promise<void> {
    const { config = [], password, tls } = this.options
    // What was written survives a kill, so there is no need to wait for the disk, which may be busy.
    const lines = [
      ...(password ? [`requirepass ${password}`] : []),
      tls ? 'port 0' : `port ${this.port}`,
      ...['bind 127.0.0.1', `dir ${this.#data}`, 'save ""', 'appendonly yes', 'appendfsync no'],
      ...config
    ]
    if (tls) {
      await writeFile(join(this.folder, 'key.pem'), tls.key)
      await writeFile(join(this.folder, 'cert.pem'), tls.cert)
      const [key, cert] = [join(this.folder, 'key.pem'), join(this.folder, 'cert.pem')]
      lines.push(`tls-port ${this.port}`, `tls-key-file ${key}`, `tls-cert-file ${cert}`, 'tls-auth-clients no')
    }
    await mkdir(this.#data, { recursive: true })
    const file = join(this.folder, 'redis.conf')
    await writeFile(file, `${lines.join('\n')}\n`)
    const child = spawn(this.#binary, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    const ready = new Promise<void>((resolve, reject) => {
      const read = (bytes: Buffer) => {
        this.#output += bytes
        if (/Ready to accept connections/.test(this.#output)) resolve()
      }
      child.stdout!.on('data', read)
      child.stderr!.on('data', read)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`redis-server has ended with ${code}: ${this.#output}`)))
    })
    this.#output = ''
    await withTimeout(ready, 'redis-server')
  }

  /** As when the machine loses its power. */
  async kill9(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Makes a backup, while nobody writes. */
  async keep(): Promise<void> {
    this.#kept = await KeptData.of(this.#data)
  }

  /** Kills it, and starts it with what it had when the backup was made. */
  async restore(): Promise<void> {
    await this.kill9()
    await this.#kept!.restore()
    await this.start()
  }

  /** It keeps its connections, takes new ones, and answers nothing. */
  freeze(): void {
    freeze([this.#process!.pid!])
  }

  thaw(): void {
    this.#process!.kill('SIGCONT')
  }

  async stop(): Promise<void> {
    this.#admin?.disconnect()
    this.#admin = undefined
    await this.#end('SIGKILL')
  }

  get #data(): string {
    return join(this.folder, 'data')
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await withTimeout(gone, 'the end of redis-server')
  }

  /** What it says of its replication, by the names that INFO has. */
  async replication(): Promise<Record<string, string>> {
    const lines = (await this.admin.info('replication')).split('\r\n')
    return Object.fromEntries(lines.filter((line) => line.includes(':')).map((line) => line.split(':', 2)))
  }

  /** From now on its replicas hear nothing of what it gets. */
  async cutReplicas(): Promise<void> {
    await this.admin.call('ACL', 'SETUSER', 'default', '-psync', '-sync')
    await this.admin.call('CLIENT', 'KILL', 'TYPE', 'replica')
  }

  /** Resolves when it takes writes, as a replica that was promoted. */
  async waitForPromotion(): Promise<void> {
    const isMaster = async () => (await this.replication()).role === 'master'
    const deadline = Date.now() + PROMOTION
    while (!(await isMaster())) {
      if (Date.now() > deadline) throw new Error(`waited ${PROMOTION} ms for a replica to be promoted`)
      await sleep(50)
    }
  }

  /** Names of the connections that clients have to it. */
  async connectionNames(): Promise<string[]> {
    const list = (await this.admin.client('LIST')) as string
    return list
      .trim()
      .split('\n')
      .map((line) => / name=(\S*)/.exec(line)![1]!)
  }
}
