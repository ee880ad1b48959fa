// Starts a NATS server.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node'
import type { Test } from 'tap'
import { requireBinary } from './binary.js'
import { KeptData } from './kept-data.js'
import { withTimeout } from './patience.js'
import { freePort } from './redis-server.js'
import { freeze } from './signals.js'

export interface NatsServerOptions {
  /** Lines of its configuration. */
  config?: string[]
  /** What clients need to connect, beside the address. */
  client?: Pick<NodeConnectionOptions, 'user' | 'pass' | 'token' | 'tls'>
  /** Whether it has JetStream. Default: true. */
  jetstream?: boolean
}

/** A nats-server until the end of the test; nothing where there is none on this machine. */
export async function startNats(t: Test, options: NatsServerOptions = {}): Promise<NatsServer | undefined> {
  // Debian has it where the PATH of users does not lead.
  const binary = requireBinary(t, 'nats-server')
  if (binary === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'pylon-sse-nats-'))
  const server = new NatsServer(binary, folder, await freePort(), options)
  t.teardown(async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  })
  await server.start()
  return server
}

/** A server that a test owns: it keeps its data over restarts. */
export class NatsServer {
  readonly port: number
  /** Another at each start: what is free when a server begins may be taken when it begins again. */
  #monitorPort = 0
  readonly #binary: string
  readonly #folder: string
  readonly #options: NatsServerOptions
  #process: ChildProcess | undefined
  #admin: NatsConnection | undefined
  #kept: KeptData | undefined

  constructor(binary: string, folder: string, port: number, options: NatsServerOptions) {
    this.#binary = binary
    this.#folder = folder
    this.port = port
    this.#options = options
  }

  get servers(): string {
    return `nats://127.0.0.1:${this.port}`
  }

  get clientOptions(): NodeConnectionOptions {
    return { servers: this.servers, ...this.#options.client }
  }

  /** A connection of the test's own, which the plugin knows nothing of. */
  async admin(): Promise<{ connection: NatsConnection; manager: JetStreamManager }> {
    this.#admin ??= await connect({
      ...this.clientOptions,
      name: 'test',
      maxReconnectAttempts: -1,
      reconnectTimeWait: 100
    })
    return { connection: this.#admin, manager: await jetstreamManager(this.#admin, { checkAPI: false }) }
  }

  /** Resolves when it takes commands. */
  async start(): Promise<void> {
    const { config = [], jetstream = true } = this.#options
    this.#monitorPort = await freePort()
    const file = join(this.#folder, 'nats.conf')
    const store = `jetstream { store_dir: "${this.#folder}/store" }`
    const ports = [`listen: 127.0.0.1:${this.port}`, `http: 127.0.0.1:${this.#monitorPort}`]
    const lines = [...ports, ...(jetstream ? [store] : []), ...config]
    await writeFile(file, `${lines.join('\n')}\n`.replaceAll('$FOLDER', this.#folder))
    const child = spawn(this.#binary, ['-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    let output = ''
    const ready = new Promise<void>((resolve, reject) => {
      const read = (bytes: Buffer) => {
        output += bytes
        if (/Server is ready/.test(output)) resolve()
      }
      child.stdout!.on('data', read)
      child.stderr!.on('data', read)
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`nats-server has ended with ${code}: ${output}`)))
    })
    await withTimeout(ready, 'nats-server')
  }

  /** As when the machine loses its power. */
  async kill9(): Promise<void> {
    // What is asked by a connection that has yet to notice is never answered.
    const admin = this.#admin
    this.#admin = undefined
    const child = this.#process
    this.#process = undefined
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await withTimeout(gone, 'the end of nats-server')
    }
    await admin?.close()
  }

  /** Makes a backup, while nobody writes. */
  async keep(): Promise<void> {
    this.#kept = await KeptData.of(join(this.#folder, 'store'))
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

  /** Names of the connections that clients have to it. */
  async connectionNames(): Promise<string[]> {
    const response = await fetch(`http://127.0.0.1:${this.#monitorPort}/connz`)
    const { connections } = (await response.json()) as { connections: { name?: string }[] }
    return connections.map(({ name = '' }) => name)
  }

  async stop(): Promise<void> {
    await this.kill9()
  }
}
