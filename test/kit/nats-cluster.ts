// Starts a JetStream cluster.

import type { Test } from 'tap'
import { type NatsServer, startNats } from './nats-server.js'
import { eventually } from './processes.js'
import { freePort } from './redis-server.js'

const SIZE = 3

/** A JetStream cluster of three servers until the end of the test. */
export class NatsCluster {
  readonly #servers: readonly NatsServer[]

  private constructor(servers: readonly NatsServer[]) {
    this.#servers = servers
  }

  /** Nothing where there is no nats-server on this machine. */
  static async start(t: Test): Promise<NatsCluster | undefined> {
    const ports: number[] = []
    for (let i = 0; i < SIZE; i++) ports.push(await freePort())
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`).join(', ')
    const servers: NatsServer[] = []
    for (const [i, port] of ports.entries()) {
      const config = [
        `server_name: ${nameOf(i)}`,
        `cluster { name: test, listen: "127.0.0.1:${port}", routes: [${routes}] }`
      ]
      const server = await startNats(t, { config })
      if (server === undefined) return undefined
      servers.push(server)
    }
    const cluster = new NatsCluster(servers)
    await eventually(async () => {
      const { manager } = await servers[0]!.admin()
      return manager.getAccountInfo().then(
        () => true,
        () => false
      )
    }, 'the servers have a leader')
    return cluster
  }

  /** Their addresses, as an app has them. */
  get addresses(): string[] {
    return this.#servers.map(({ servers }) => servers)
  }

  /** The server that leads a stream. */
  async leaderOf(stream: string): Promise<NatsServer> {
    let leader: NatsServer | undefined
    await eventually(async () => {
      const { manager } = await this.#servers[0]!.admin()
      const info = await manager.streams.info(stream).catch(() => undefined)
      leader = this.#servers.find((_server, i) => info?.cluster?.leader === nameOf(i))
      return leader !== undefined
    }, `${stream} has a leader`)
    return leader!
  }
}

function nameOf(i: number): string {
  return `server-${i}`
}
