import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import type { FastifyServerOptions } from 'fastify'
import t from 'tap'
import type { DisconnectReason } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import { serve } from '../kit/server.js'

/** A response as a server of another make gives it: a Writable with the methods that Fastify calls, and no more. */
class OwnResponse extends Writable {
  statusCode = 200
  headersSent = false
  readonly #headers = new Map<string, number | string | readonly string[]>()
  readonly #under: ServerResponse

  constructor(under: ServerResponse) {
    super()
    this.#under = under
    under.on('close', () => this.destroy())
  }

  setHeader(name: string, value: number | string | readonly string[]): void {
    this.#headers.set(name.toLowerCase(), value)
  }

  getHeader(name: string): unknown {
    return this.#headers.get(name.toLowerCase())
  }

  hasHeader(name: string): boolean {
    return this.#headers.has(name.toLowerCase())
  }

  removeHeader(name: string): void {
    this.#headers.delete(name.toLowerCase())
  }

  getHeaderNames(): string[] {
    return [...this.#headers.keys()]
  }

  getHeaders(): OutgoingHttpHeaders {
    return Object.fromEntries(this.#headers) as OutgoingHttpHeaders
  }

  writeHead(status: number, headers: OutgoingHttpHeaders = {}): this {
    this.headersSent = true
    this.#under.writeHead(status, { ...this.getHeaders(), ...headers })
    this.#under.flushHeaders()
    return this
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    if (this.#under.write(bytes)) done()
    else this.#under.once('drain', done)
  }

  override _final(done: () => void): void {
    this.#under.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (!this.#under.writableFinished) this.#under.destroy()
    done(error)
  }
}

const serverFactory = ((handler: (req: IncomingMessage, res: ServerResponse) => void) =>
  createServer((req, res) => handler(req, new OwnResponse(res) as unknown as ServerResponse))) as NonNullable<
  FastifyServerOptions['serverFactory']
>

t.test("a custom server's responses carry streams, whole, to their end", async (t) => {
  const reasons: DisconnectReason[] = []
  const left = deferred()
  const s = await serve(t, {
    fastify: { serverFactory },
    sse: {
      maxClientsPerIp: 2,
      onDisconnect: (_client, reason) => {
        reasons.push(reason)
        left.resolve()
      }
    }
  })
  const readers = [await s.connect(), await s.connect()]
  t.equal(readers[0]!.headers.get('content-type'), 'text/event-stream')
  const large = 'x'.repeat(200_000)
  for (let i = 0; i < 20; i++) s.app.sse.broadcastMessage(`${i}${large}`)
  for (const reader of readers) t.equal((await reader.take(20)).at(-1)!.data, `19${large}`)
  await readers[1]!.close()
  await left.promise
  t.strictSame(reasons, ['disconnected'])
  const third = await s.connect()
  t.equal(third.status, 200, 'Exactly one release: its slot is free')
  s.app.sse.disconnect(() => true)
  await third.waitForEnd()
  await readers[0]!.waitForEnd()
  t.match(s.app.sse.stats(), { connected: 0, disconnects: { closed: 2 } })
})

t.test("a custom server's responses carry pages and rejections, also pages that wait", async (t) => {
  const s = await serve(t, { fastify: { serverFactory }, sse: { maxClientsPerIp: 1, overLimit: 'status' } })
  const page = s.connect({ query: { since: '0', wait: '10000' }, headers: { accept: 'application/json' } })
  while (s.app.sse.clientCount === 0) {
    const probe = await s.connect()
    if (probe.status === 429) break
    await probe.close()
  }
  s.app.sse.broadcast(7)
  const reader = await page
  await reader.waitForEnd()
  t.match(JSON.parse(reader.body), { events: [{ data: 7 }] })
  t.equal((await s.connect()).status, 200)
  t.equal((await s.connect()).status, 429)
  t.equal((await s.connect({ method: 'HEAD' })).status, 200)
})

t.test("closing ends with streams over a custom server's responses", async (t) => {
  const s = await serve(t, { fastify: { serverFactory } })
  const reader = await s.connect()
  await s.app.close()
  await reader.waitForEnd()
  t.match(s.app.sse.stats(), { disconnects: { shutdown: 1 } })
})
