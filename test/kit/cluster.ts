// Processes that run an app with a backplane, for tests of several processes. What runs in them is cluster-process.js.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { SseEvent } from './event-reader.js'
import { resyncOf } from './numbered.js'
import { withTimeout } from './patience.js'
import { RUN_SOURCES } from './run-sources.js'
import { connect, type SseClient } from './sse-client.js'
import { Watch } from './watch.js'

/** How long a process may take for what it is told, ms: the machine may be busy. */
const LONG = 30_000
/** Between two events of a process, ms. */
const PAUSE = 20
const END = '"end"'

/** What the processes share. */
export interface ClusterEngine {
  readonly name: 'redis' | 'nats'
  /** Of the backplane. */
  readonly options: object
}

interface Answer {
  port?: number
  flowing?: number
  published?: number
}

/** One life of one process of an app, which listens on a port of its own. */
class ClusterProcess {
  readonly life: string
  readonly #child: ChildProcess
  readonly #answers: Answer[] = []
  readonly #watch = new Watch(() => `of ${this.life} ${JSON.stringify(this.#answers)}`)

  constructor(life: string, { name, options }: ClusterEngine) {
    this.life = life
    const program = fileURLToPath(new URL('cluster-process.js', import.meta.url))
    this.#child = fork(program, [life, name, JSON.stringify(options)], { execArgv: RUN_SOURCES })
    this.#child.on('message', (answer: Answer) => {
      this.#answers.push(answer)
      this.#watch.changed()
    })
    this.#child.on('exit', () => this.#watch.changed())
  }

  port(): Promise<number> {
    return this.#answer('port')
  }

  /** It publishes until it is told to stop. Resolves when the engine has its first events. */
  async publish(): Promise<void> {
    this.#child.send({ do: 'publish', pause: PAUSE })
    await this.#answer('flowing')
  }

  /** It publishes no more. @returns how many events it has been told are published */
  stop(): Promise<number> {
    this.#child.send({ do: 'stop' })
    return this.#answer('published')
  }

  end(): void {
    this.#child.send({ do: 'end' })
  }

  /** As an orchestrator ends it. @returns as `stop` */
  async terminate(): Promise<{ published: number; code: number; ms: number }> {
    const from = performance.now()
    const exit = once(this.#child, 'exit') as Promise<[number]>
    this.#child.kill('SIGTERM')
    const [code] = await withTimeout(exit, `the end of ${this.life}`, LONG)
    return { published: await this.#answer('published'), code, ms: performance.now() - from }
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #answer(name: keyof Answer): Promise<number> {
    const look = () => {
      const found = this.#answers.find((answer) => answer[name] !== undefined)?.[name]
      if (found === undefined && this.#child.exitCode !== null) throw new Error(`${this.life} has ended`)
      return found
    }
    return this.#watch.until(look, `the ${name} of ${this.life}`, LONG)
  }
}

/** Processes of an app that share an engine, and come and go until the end of the test. */
export class Cluster {
  readonly #engine: ClusterEngine
  readonly #places: { process: ClusterProcess; port: number | undefined }[] = []
  readonly #lives: ClusterProcess[] = []
  #next = 0

  private constructor(engine: ClusterEngine) {
    this.#engine = engine
  }

  static async start(t: Test, engine: ClusterEngine, size: number): Promise<Cluster> {
    const cluster = new Cluster(engine)
    t.teardown(() => {
      for (const life of cluster.#lives) life.kill()
    })
    await Promise.all(Array.from({ length: size }, (_, place) => cluster.#begin(place)))
    return cluster
  }

  get processes(): ClusterProcess[] {
    return this.#places.map(({ process }) => process)
  }

  /** As a load balancer: the port of the next process. One that is about to end is still sent clients. */
  nextPort(): number | undefined {
    return this.#places[this.#next++ % this.#places.length]!.port
  }

  /** Ends a process, and begins another in its place. */
  async restart(place: number) {
    const { process } = this.#places[place]!
    const end = await process.terminate()
    this.#places[place]!.port = undefined
    await this.#begin(place)
    await this.#places[place]!.process.publish()
    return { life: process.life, ...end }
  }

  async #begin(place: number): Promise<void> {
    const process = new ClusterProcess(`life${this.#lives.length}`, this.#engine)
    this.#lives.push(process)
    const port = await process.port()
    this.#places[place] = { process, port }
  }
}

/** A client that comes back, to the next process, with the last id it has, whenever its stream is over. */
export class Wanderer {
  readonly events: SseEvent[] = []
  /** Streams it has had. */
  streams = 0
  readonly #cluster: Cluster
  #lastEventId: string | undefined
  #client: SseClient | undefined
  #isGone = false

  constructor(t: Test, cluster: Cluster) {
    this.#cluster = cluster
    t.teardown(() => {
      this.#isGone = true
      return this.#client?.abort()
    })
  }

  /** Resolves when it has its place in the log. */
  async begin(): Promise<void> {
    const client = await this.#open()
    this.#lastEventId = await client!.waitForId()
  }

  /** Resolves with all that it was told, when it has heard the end. */
  async wander(): Promise<void> {
    for (;;) {
      const client = this.#client ?? (await this.#open())
      if (client === undefined) continue
      const isEnd = await client
        .until(({ data }) => data === END, 4 * LONG)
        .then(
          () => true,
          () => false
        )
      this.events.push(...client.events)
      this.#lastEventId = client.lastEventId || this.#lastEventId
      this.#client = undefined
      await client.close()
      if (client.failure) throw client.failure
      if (isEnd || this.#isGone) return
    }
  }

  get resyncs(): unknown[] {
    return this.events.flatMap((event) => resyncOf(event) ?? [])
  }

  /** @returns nothing where the process takes no clients */
  async #open(): Promise<SseClient | undefined> {
    const port = this.#cluster.nextPort()
    const lastEventId = this.#lastEventId
    const options = lastEventId === undefined ? {} : { lastEventId }
    const client = port === undefined ? undefined : await connect(port, options).catch(() => undefined)
    if (client?.status === 200) {
      this.streams++
      this.#client = client
      return client
    }
    await client?.close()
    await new Promise(setImmediate)
    return undefined
  }
}
