// The example as a server under test.

import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { type BoardDatabase, emptyDatabase } from './board-database.js'
import { type ConnectOptions, connect, type SseClient } from './sse-client.js'

export interface BoardOptions {
  pylonSse?: PylonSseOptions
  maxTasks?: number
  maxRooms?: number
  maxSessions?: number
  sessionLifetime?: number
  /** Default: an empty one. */
  database?: BoardDatabase
}

export interface Task {
  id: string
  title: string
  /** Who wrote the title as it is. */
  author: string
  status: string
  position: number
  deleted_at: string | null
  changed_by: string
}

/** A change of a task, as it is answered and heard. */
export interface Change {
  /** The place of its event in the log. */
  cursor: string
  entity: 'tasks'
  row_id: string
  kind: 'insert' | 'update' | 'delete' | 'resync'
  data: Task | null
}

export interface Snapshot {
  people: string[]
  /** The place up to which the tasks include all changes. */
  cursor: string
  tasks: Task[]
}

export interface Answer<Body = unknown> {
  status: number
  body: Body
  headers: Record<string, unknown>
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

// The example is JavaScript, and uses the built package as its users do.
const { buildApp } = (await import(new URL('../../example-app/app.js', import.meta.url).href)) as {
  buildApp(options: BoardOptions): FastifyInstance
}

/** The example, listening until the end of the test. */
export class TaskBoard {
  readonly app: FastifyInstance
  readonly #t: Test

  private constructor(t: Test, app: FastifyInstance) {
    this.#t = t
    this.app = app
  }

  static async serve(t: Test, options: BoardOptions = {}): Promise<TaskBoard> {
    // Browsers come back soon, so that tests need not wait for them.
    const database = options.database ?? (await emptyDatabase())
    const app = buildApp({ ...options, database, pylonSse: { retry: 100, ...options.pylonSse } })
    t.teardown(() => app.close())
    await app.listen({ host: '127.0.0.1', port: 0 })
    return new TaskBoard(t, app)
  }

  get port(): number {
    return (this.app.server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async call<Body = unknown>(
    method: Method,
    url: string,
    body?: unknown,
    headers: Record<string, string> = {}
  ): Promise<Answer<Body>> {
    const response = await this.app.inject({
      method,
      url,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) })
    })
    return {
      status: response.statusCode,
      headers: response.headers,
      body: (response.body === '' ? undefined : response.json()) as Body
    }
  }

  async visitor(name = 'Ann', room = 'team-a'): Promise<Visitor> {
    const { headers } = await this.call('POST', '/api/login', { name })
    return new Visitor(this, this.#t, cookieOf(headers), room)
  }
}

/** The cookie that an answer sets, as it is sent back. */
export function cookieOf(headers: Record<string, unknown>): string {
  return String(headers['set-cookie']).replace(/;.*/, '')
}

/** Someone who is logged in, without a browser. */
export class Visitor {
  readonly cookie: string
  readonly #board: TaskBoard
  readonly #t: Test
  readonly #room: string

  constructor(board: TaskBoard, t: Test, cookie: string, room: string) {
    this.#board = board
    this.#t = t
    this.cookie = cookie
    this.#room = room
  }

  call<Body = unknown>(method: Method, url: string, body?: unknown, headers = {}): Promise<Answer<Body>> {
    return this.#board.call(method, url, body, { cookie: this.cookie, ...headers })
  }

  /** What a page loads of the room. */
  async snapshot(): Promise<Snapshot> {
    const { status, body } = await this.call<Snapshot>('GET', `/api/rooms/${this.#room}`)
    if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`)
    return body
  }

  /** `path` goes on from the room's tasks. */
  tasks<Body = Change>(method: Method, path = '', body?: unknown, headers = {}): Promise<Answer<Body>> {
    return this.call(method, `/api/rooms/${this.#room}/tasks${path}`, body, headers)
  }

  async create(title: string, headers = {}): Promise<Task> {
    return (await this.tasks<Change>('POST', '', { title }, headers)).body.data!
  }

  /** Opens a stream, of the room unless another query is given. */
  async stream({ query = { topic: `room.${this.#room}` }, headers = {}, ...rest }: ConnectOptions = {}) {
    const client = await connect(this.#board.port, { ...rest, query, headers: { cookie: this.cookie, ...headers } })
    this.#t.teardown(() => client.close())
    return client
  }
}

/** The next changes that a stream tells of, without their time. */
export async function changesOf(client: SseClient, n: number): Promise<Change[]> {
  const changes = []
  for (let i = 0; i < n; i++) {
    const { id, data } = await client.until(({ event }) => event === 'change')
    const { timestamp, ...change } = JSON.parse(data)
    if (!(Math.abs(Date.now() - timestamp) < 60_000)) throw new Error(`the time of a change is ${timestamp}`)
    // An event's id is its place, and a fingerprint.
    changes.push({ cursor: id!.slice(0, id!.lastIndexOf('-')), ...change })
  }
  return changes
}

/** The number of a place in the log. */
export function numberOf(cursor: string): number {
  return Number(/^[0-9a-z]{8}-(\d+)$/.exec(cursor)![1])
}
