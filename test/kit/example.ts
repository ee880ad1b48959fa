// Starts the programs of docs/examples, each in a process.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { type ListenOptions, listen, type SseListener } from '../../lib/entries/testing/testing.js'
import { PATIENCE, withTimeout } from './patience.js'
import { plainEnvironment } from './plain-environment.js'
import { Watch } from './watch.js'

/** How long a process of Node may take to start, ms: there may be several at once, on a busy machine. */
const START = 4 * PATIENCE
const EXAMPLES = new URL('../../docs/examples/', import.meta.url)
const RUNNER = fileURLToPath(new URL('example-process.js', import.meta.url))

export interface ProgramOptions {
  /** What is run with Node, in the folder of the example. */
  args?: string[]
  env?: Record<string, string>
  /** Another working directory than the folder of the example. */
  cwd?: string
}

export function exampleFile(path: string): string {
  return fileURLToPath(new URL(path, EXAMPLES))
}

export function readExample(path: string): Promise<string> {
  return readFile(exampleFile(path), 'utf8')
}

/**
 * Starts servers of docs/examples as they stand, on free ports, in one process of their own until the end of the test.
 * Each is a file such as `chat/server.js`, with the environment that it needs.
 */
export async function startExamples(
  t: Test,
  ...servers: [file: string, env?: Record<string, string>][]
): Promise<{ examples: Example[]; program: Program }> {
  // With a query, so that a program that is there twice is loaded twice, each time with its own environment.
  const list = servers.map(([file, env = {}], i) => ({ url: `${pathToFileURL(exampleFile(file)).href}?${i}`, env }))
  const program = new Program(t, '.', { args: [RUNNER, JSON.stringify(list)] })
  const ports = await program.waitForPorts(list.length)
  return { examples: ports.map((port) => new Example(t, port)), program }
}

/** A process that runs a program of docs/examples as a user does, until the end of the test. */
export class Program {
  readonly #child: ChildProcess
  #output = ''
  readonly #ports: number[] = []
  readonly #watch: Watch
  #isOver = false

  constructor(t: Test, example: string, { args = ['server.js'], env = {}, cwd }: ProgramOptions = {}) {
    this.#watch = new Watch(() => `output of ${example}: ${JSON.stringify(this.#output)}`)
    this.#child = spawn(process.execPath, args, {
      cwd: cwd ?? exampleFile(example),
      env: { ...plainEnvironment(), PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc']
    })
    t.teardown(() => this.stop())
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        this.#watch.changed()
      })
    }
    this.#child
      .on('message', (port) => {
        this.#ports.push(port as number)
        this.#watch.changed()
      })
      .on('close', () => {
        this.#isOver = true
        this.#watch.changed()
      })
  }

  get pid(): number {
    return this.#child.pid!
  }

  get output(): string {
    return this.#output
  }

  /** Resolves when the program has written what matches. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#until(() => pattern.exec(this.#output) ?? undefined, `output that matches ${pattern}`)
  }

  waitForPorts(count: number): Promise<number[]> {
    return this.#until(() => (this.#ports.length >= count ? this.#ports : undefined), `${count} servers`)
  }

  /** Resolves with its exit code when it has ended by itself. */
  waitForExit(): Promise<number | null> {
    return this.#watch.until(() => (this.#isOver ? (this.#child.exitCode ?? -1) : undefined), 'its end', START)
  }

  /** As an orchestrator ends it; killed where it does not listen. Resolves with its exit code, null after a kill. */
  async stop(): Promise<number | null> {
    const child = this.#child
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, 'exit')
      child.kill('SIGTERM')
      await withTimeout(exit, 'the end of the example', START).catch(() => child.kill('SIGKILL'))
    }
    return child.exitCode
  }

  #until<T>(look: () => T | undefined, what: string): Promise<T> {
    const orEnd = () => {
      const found = look()
      if (found === undefined && this.#isOver) throw new Error(`the example has ended: ${this.#output}`)
      return found
    }
    return this.#watch.until(orEnd, what, START)
  }
}

/** A server of docs/examples that listens. */
export class Example {
  readonly port: number
  readonly #t: Test

  constructor(t: Test, port: number) {
    this.#t = t
    this.port = port
  }

  get url(): string {
    return `http://localhost:${this.port}`
  }

  async listen(path = '/events', options: ListenOptions = {}): Promise<SseListener> {
    const events = await listen(`http://127.0.0.1:${this.port}`, path, { timeout: PATIENCE, ...options })
    this.#t.teardown(() => events.close())
    return events
  }

  /** An ordinary request, with a body of JSON where one is given. */
  call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) })
    })
  }

  async json<T = unknown>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T> {
    return (await this.call(method, path, body, headers)).json() as Promise<T>
  }
}
