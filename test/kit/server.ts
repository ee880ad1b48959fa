// An app with the plugin, and clients of it: what most tests begin with.

import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { certificate } from './certificate.js'
import { resumeClock } from './clock.js'
import { connectH2, type H2Client, type H2ConnectOptions } from './h2-client.js'
import { withTimeout } from './patience.js'
import { type ConnectOptions, connect, type SseClient } from './sse-client.js'
import type { Target } from './stream-request.js'

export interface ServeOptions {
  /** The plugin's options; false where the test registers the plugin itself, or does without. */
  sse?: PylonSseOptions | false
  /** Runs on the bare app, before the plugin is registered. */
  setup?: (app: FastifyInstance) => unknown
  fastify?: FastifyServerOptions
  /**
   * Default: http, which is HTTP/1.1 over TCP in clear text; unix is the same over a unix socket. http2 has TLS, and
   * speaks HTTP/1.1 with those who know no other.
   */
  transport?: 'http' | 'https' | 'http2' | 'h2c' | 'unix'
}

export interface Served extends Target {
  app: FastifyInstance
  url: string
  /** Clients of this server, all gone before it closes at the end of the test. */
  connect(options?: ConnectOptions): Promise<SseClient>
  connectH2(options?: H2ConnectOptions): Promise<H2Client>
}

/** An app that listens, with the plugin registered, until the end of the test. */
export async function serve(t: Test, options: ServeOptions = {}): Promise<Served> {
  const { sse = {}, setup, transport = 'http' } = options
  const isTls = transport === 'https' || transport === 'http2'
  const tlsOptions = isTls ? await certificate() : undefined
  // The server types of the four transports have no common ancestor but this one.
  const app = fastify({
    ...options.fastify,
    ...(tlsOptions && { https: { ...tlsOptions, allowHTTP1: transport === 'http2' } }),
    ...((transport === 'http2' || transport === 'h2c') && { http2: true })
  } as FastifyServerOptions) as unknown as FastifyInstance

  const clients: (SseClient | H2Client)[] = []
  const folder = transport === 'unix' ? await mkdtemp(join(tmpdir(), 'pylon-sse-')) : undefined
  app.addHook('preClose', async () => resumeClock())
  t.teardown(async () => {
    const failures = clients.flatMap(({ failure }) => failure ?? [])
    await Promise.all(clients.map((client) => client.abort()))
    await withTimeout(app.close(), 'app.close() after the test')
    if (folder) await rm(folder, { recursive: true })
    // A test may have been content with what came before the foreign bytes.
    if (failures[0]) throw failures[0]
  })

  await setup?.(app)
  // Only here, so that the kit serves plain routes to a test that has no use for the plugin.
  if (sse) await app.register((await import('../../lib/index.js')).default, sse)

  const target: Target = folder ? { socketPath: join(folder, 'socket') } : await listenOnTcp(app)
  if (folder) await app.listen({ path: target.socketPath! })
  if (tlsOptions) target.ca = tlsOptions.cert
  const track = async <C extends SseClient | H2Client>(opening: Promise<C>) => {
    const client = await opening
    clients.push(client)
    return client
  }
  return {
    ...target,
    app,
    url: `${isTls ? 'https' : 'http'}://${folder ? 'localhost' : `127.0.0.1:${target.port}`}`,
    connect: (request) => track(connect(target, request)),
    connectH2: (request) => track(connectH2(target, request))
  }
}

async function listenOnTcp(app: FastifyInstance): Promise<Target> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
}
