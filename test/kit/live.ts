// pylon-sse/client as tests use it, against a server of their own.

import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import {
  type Address,
  connect,
  type SseConnection,
  type SseOptions,
  type SseStatus
} from '../../lib/entries/client/client.js'
import { type Served, serve } from './server.js'
import { Watch } from './watch.js'

// biome-ignore lint/suspicious/noExplicitAny: tests use events of any kind
type Events = Record<string, any>

/** What `connect` gives, with what it has told, until the end of the test. */
export class Live {
  readonly events: { event: string; data: unknown; id: string | undefined; topic: string | undefined }[] = []
  readonly statuses: SseStatus[] = []
  readonly errors: unknown[] = []
  readonly connection: SseConnection<Events>
  readonly #watch = new Watch(() => JSON.stringify([this.events, this.statuses, this.errors.map(String)]))

  constructor(t: Test, url: Address, options: SseOptions<Events, never> = {}) {
    this.connection = connect<Events, never>(url, { retryDelay: 10, maxRetryDelay: 100, ...options })
    this.connection.subscribe((event) => this.#add(this.events, event))
    this.connection.onStatus((status) => this.#add(this.statuses, status))
    this.connection.on('error', (error) => this.#add(this.errors, error))
    t.teardown(() => this.connection.close())
  }

  get data(): unknown[] {
    return this.events.map(({ data }) => data)
  }

  get states(): string[] {
    return this.statuses.map(({ state }) => state)
  }

  /** Resolves with the data of so many events, once they have come. */
  async take(n: number): Promise<unknown[]> {
    await this.#watch.until(() => this.events.length >= n || undefined, `${n} events`)
    return this.data
  }

  async until(data: unknown): Promise<unknown[]> {
    await this.#watch.until(() => this.data.includes(data) || undefined, `data ${data}`)
    return this.data
  }

  /** Resolves with the next status of that state, or the present one. */
  status<State extends SseStatus['state']>(state: State, from = 0): Promise<Extract<SseStatus, { state: State }>> {
    const look = () => {
      const { status } = this.connection
      if (status.state === state) return status
      return this.statuses.slice(from).find((status) => status.state === state)
    }
    return this.#watch.until(look, `status ${state}`) as Promise<Extract<SseStatus, { state: State }>>
  }

  /** Resolves when it is open, or has ended. */
  async settled(): Promise<void> {
    const look = () => ['open', 'closed'].includes(this.connection.status.state) || undefined
    await this.#watch.until(look, 'it to be open, or closed')
  }

  /** Resolves when it has been open so many times. */
  async opened(n: number): Promise<void> {
    const look = () => this.states.filter((state, i) => state === 'open' && this.states[i - 1] !== 'open').length >= n
    await this.#watch.until(() => look() || undefined, `${n} times open`)
  }

  async failed(n = 1): Promise<unknown> {
    await this.#watch.until(() => this.errors.length >= n || undefined, `${n} errors`)
    return this.errors[n - 1]
  }

  #add<T>(list: T[], item: T): void {
    list.push(item)
    this.#watch.changed()
  }
}

export type Answer = (reply: FastifyReply, request: FastifyRequest) => unknown

/** A server whose answers to `GET /events` are given one by one; the last one is given again. */
export async function answering(t: Test, ...answers: Answer[]): Promise<Served & { requests: FastifyRequest[] }> {
  const requests: FastifyRequest[] = []
  const setup = ({ app }: { app: Served['app'] }) =>
    app.get('/events', async (request, reply) => {
      requests.push(request)
      await (answers.length > 1 ? answers.shift() : answers[0])!(reply, request)
      return reply
    })
  const served = await serve(t, {
    sse: false,
    fastify: { forceCloseConnections: true },
    setup: (app) => setup({ app })
  })
  return { ...served, requests }
}

/** An answer of a status, with headers. */
export function status(code: number, headers: Record<string, string> = {}): Answer {
  return (reply) => reply.code(code).headers(headers).send()
}

/** A stream that begins with some text, and goes on for ever. */
export function stream(text = CONNECTED, isOver = false): Answer {
  return (reply) => {
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.write(text)
    if (isOver) reply.raw.end()
  }
}

export const CONNECTED = 'retry: 10\nid: a\nevent: connected\ndata: {"client":"me","keepAlive":30000}\n\n'
