// The example on several processes, for tests of example-app/cluster.js.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { PATIENCE, withTimeout } from './patience.js'
import { plainEnvironment } from './plain-environment.js'
import type { PostgresServer } from './postgres-server.js'
import { RUN_SOURCES } from './run-sources.js'
import { connect, type SseClient } from './sse-client.js'
import { type Change, cookieOf } from './task-board.js'

const SCRIPTS = new URL('../../example-app/', import.meta.url)
/** Connections go to the processes in turn, so that a few of them are enough to meet all. */
const ATTEMPTS = 30
/** How long processes of Node may take to start, ms: several at once, on a busy machine. */
export const START = 6 * PATIENCE

interface Started {
  child: ChildProcess
  output: () => string
}

/** Starts the example on several processes, whatever comes of it. */
export function runCluster(env: Record<string, string>): Started {
  return runExample('cluster.js', env)
}

function runExample(script: string, env: Record<string, string>): Started {
  const path = fileURLToPath(new URL(script, SCRIPTS))
  const child = spawn(process.execPath, [...RUN_SOURCES, path], { env: { ...plainEnvironment(), PORT: '0', ...env } })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk
    })
  return { child, output: () => text }
}

/** The process that a stream is connected to. */
export function servedBy({ headers }: SseClient): number {
  return Number(headers.get('x-served-by'))
}

/** The example on its processes, until the end of the test. */
export class BoardCluster {
  readonly port: number
  readonly #t: Test
  readonly #child: ChildProcess
  readonly #output: () => string

  private constructor(t: Test, started: Started, port: number) {
    this.#t = t
    this.#child = started.child
    this.#output = started.output
    this.port = port
  }

  static async start(t: Test, server: PostgresServer): Promise<BoardCluster> {
    const started = runCluster({ DATABASE_URL: server.url, LOG_LEVEL: 'silent' })
    t.teardown(() => stop(started.child))
    const [, port] = await said(started, /Task board on \S+:(\d+)/)
    return new BoardCluster(t, started, Number(port))
  }

  waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return said({ child: this.#child, output: this.#output }, pattern)
  }

  async logIn(name: string): Promise<string> {
    const { headers } = await this.call('POST', '/api/login', { body: { name } })
    return cookieOf(headers)
  }

  async create(cookie: string, title: string, room = 'team-a'): Promise<Change> {
    const { status, body } = await this.call('POST', `/api/rooms/${room}/tasks`, { cookie, body: { title } })
    if (status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`)
    return body as Change
  }

  /** Each call on a connection of its own. */
  async call(method: string, path: string, { cookie = '', body }: { cookie?: string; body?: object }) {
    const headers = { cookie, ...(body && { 'content-type': 'application/json' }) }
    const options = { host: '127.0.0.1', port: this.port, path, method, headers, agent: false }
    const response = await patiently(async () => {
      const request = http.request(options).end(body && JSON.stringify(body))
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      return response
    })
    const text = (await response.setEncoding('utf8').toArray()).join('')
    return { status: response.statusCode!, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
  }

  stream(cookie: string, room = 'team-a', lastEventId?: string): Promise<SseClient> {
    const query = { topic: `room.${room}` }
    return patiently(async () => {
      const client = await connect(this.port, { query, headers: { cookie }, ...(lastEventId && { lastEventId }) })
      this.#t.teardown(() => client.close())
      return client
    })
  }

  /** Streams of so many processes, one of each. */
  async streamsOnEach(count: number, cookie: string, room?: string): Promise<SseClient[]> {
    const streams = new Map<number, SseClient>()
    for (let i = 0; i < ATTEMPTS && streams.size < count; i++) {
      const stream = await this.stream(cookie, room)
      if (streams.has(servedBy(stream))) await stream.close()
      else streams.set(servedBy(stream), stream)
    }
    if (streams.size < count) throw new Error(`${ATTEMPTS} streams came to ${streams.size} processes`)
    return [...streams.values()]
  }

  stop(): Promise<number | null> {
    return stop(this.#child)
  }
}

/** The example as `npm start` runs it, until the end of the test or until it is stopped. */
export async function startServer(
  t: Test,
  env: Record<string, string>
): Promise<{ port: number; stop: () => Promise<number | null> }> {
  const started = runExample('server.js', env)
  t.teardown(() => stop(started.child))
  const [, port] = await said(started, /Task board on \S+:(\d+)/)
  return { port: Number(port), stop: () => stop(started.child) }
}

/** What an example says that ends at once, and its exit code. */
export async function failToStart(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  const { child, output } = runExample('server.js', env)
  const [code] = await withTimeout(once(child, 'close'), 'its end', START)
  return { code, output: output() }
}

/** A connection may be handed to a process that was killed just then. A browser tries again, too. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let i = 0; ; i++) {
    try {
      return await attempt()
    } catch (error) {
      if (i === ATTEMPTS) throw error
    }
  }
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'close')
    child.kill('SIGTERM')
    await withTimeout(gone, 'the end of the example')
  }
  return child.exitCode
}

/** Resolves when the process has said something of this form. */
async function said({ child, output }: Started, pattern: RegExp): Promise<RegExpExecArray> {
  const found = new Promise<RegExpExecArray>((resolve, reject) => {
    const look = () => {
      const match = pattern.exec(output())
      if (match) resolve(match)
    }
    child.stdout!.on('data', look)
    child.stderr!.on('data', look)
    child.once('close', (code) => reject(new Error(`it has ended with ${code}: ${output()}`)))
    look()
  })
  return withTimeout(found, String(pattern), START, output)
}
