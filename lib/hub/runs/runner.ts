// Runs: starts those of this process, and mirrors those of other processes. Sources are driven in work.ts; the runs are
// held in runs.ts.

import { randomBytes } from 'node:crypto'
import { InvalidOptionError, RunsFullError } from '../../api/errors.js'
import type { RunMark } from '../../backplane/run-message.js'
import { beginMessage, isRunId, RUN_BOUNDS, type RunMessage } from '../../backplane/run-message.js'
import { waitAtMost } from '../../wire/time-slices.js'
import { AwaitedRuns } from './awaited-runs.js'
import { readPiece } from './piece.js'
import { FAILED, type RunLog } from './run-log.js'
import { type RunOptions, resolveRunOptions } from './run-options.js'
import { type AppendToRun, type RunnerContext, runTarget } from './run-target.js'
import { Runs, type RunsBounds } from './runs.js'
import type { RunSource } from './source.js'
import { Work } from './work.js'

/** Time that sources have to end when the app closes, ms. */
const GRACE = 500
/** How often the runs are checked within `silence`. */
const LOOKS = 3

/** An event that has been encoded, here or elsewhere. */
interface RunEvent {
  readonly body: string
  readonly topic?: string | undefined
  readonly isText?: boolean | undefined
}

/** A run, as the app sees it. */
export interface Run {
  readonly topic: string
  /** The cursor before its first event. A client that sends it as its last event id gets the whole run. */
  readonly cursor: string
  /** Options for `app.sse.stream`: the events of the run, from the client's last event id on, else from the first. */
  readonly stream: { readonly run: string }
  /** Resolves when its source has finished, `finally` included. Never rejects. */
  readonly finished: Promise<void>
  /**
   * Stops the run: its signal aborts, and listeners get `failed` with the reason `stopped`. Has no effect if it has
   * ended.
   */
  stop(): void
}

/** What is known of a run besides its events. */
interface Known {
  readonly bounds: typeof RUN_BOUNDS
  /** The id of the process that it is on; undefined for this one. */
  readonly publisher: string | undefined
  /** When it last had a listener, as far as is known, ms of `performance.now()`. */
  heardAt: number
  readonly work?: Work
  readonly abandonAfter: number
}

/** The runs of this process, which it drives, and those of other processes, which it mirrors. */
export class Runner {
  readonly #context: RunnerContext
  readonly #runs: Runs
  readonly #silence: number
  readonly #known = new Map<RunLog, Known>()
  /** When each other process was last heard of, by its id, ms of `performance.now()`. */
  readonly #signs = new Map<string, number>()
  readonly #waiting = new AwaitedRuns()
  #timer: NodeJS.Timeout | undefined
  /** When the runs were last checked, ms of `performance.now()`. */
  #lookedAt = 0
  #isClosed = false
  #saidFull = false

  /** @param silence time without a message after which the runs of another process are lost, ms */
  constructor({ silence, ...bounds }: RunsBounds & { silence: number }, context: RunnerContext) {
    this.#context = context
    this.#silence = silence
    this.#runs = new Runs(bounds, (run) => this.#known.delete(run))
  }

  /** As `Sse.run`. */
  run(source: RunSource, options: RunOptions): Run {
    const resolved = resolveRunOptions(options)
    const { topic, signal, abandonAfter, event } = resolved
    if (event !== undefined) readPiece({ event, data: null }, undefined)
    const earlier = this.#runs.find(topic)
    if (earlier?.ended === false)
      throw new InvalidOptionError(
        'topic',
        `'${topic}', which a run has already`,
        'one that no run has which is under way'
      )
    if (this.#runs.isFull || this.#isClosed) throw new RunsFullError(this.#runs.size)
    if (earlier !== undefined) this.#runs.remove(earlier)
    // Twelve base-36 digits: two runs have the same id once in 10^18.
    const id = `r${BigInt(`0x${randomBytes(8).toString('hex')}`)
      .toString(36)
      .padStart(12, '0')
      .slice(-12)}`
    const log = this.#runs.add(topic, id, resolved)
    if (this.#isShared) this.#context.tell(beginMessage(resolved, id))
    const append: AppendToRun = (run, event, last) => this.#append(run, event, last)
    const work = new Work(source, runTarget(log, resolved, this.#runs, this.#context, append))
    const bounds = { linger: resolved.linger, maxEvents: resolved.maxEvents, maxBytes: resolved.maxBytes }
    this.#known.set(log, { bounds, publisher: undefined, heardAt: performance.now(), work, abandonAfter })
    this.#look()
    const stop = () => work.stop('stopped')
    if (signal?.aborted) stop()
    else signal?.addEventListener('abort', stop, { once: true })
    const finished = work.finished.finally(() => signal?.removeEventListener('abort', stop))
    return Object.freeze({ topic, cursor: `${id}-0`, stream: Object.freeze({ run: topic }), finished, stop })
  }

  /** As `Sse.stopRun`. */
  stop(topic: string): boolean {
    const run = this.#runs.find(topic)
    const work = run && this.#known.get(run)?.work
    const isUnderWay = run !== undefined && !run.ended
    if (work !== undefined) work.stop('stopped')
    else if (this.#isShared) this.#context.tell({ is: 'stop', topic })
    return isUnderWay
  }

  find(topic: string): RunLog | undefined {
    return this.#runs.find(topic)
  }

  /**
   * Waits for a run that this process does not know and another one may have announced. Resolves once it is known, or after
   * two seconds; undefined if there is nothing to wait for.
   *
   * @param topic the topic of the run, if it is known
   * @param cursor the id of one of its events, if it is known
   */
  await(topic: string | undefined, cursor: string | undefined): Promise<void> | undefined {
    const id = cursor?.slice(0, cursor.lastIndexOf('-'))
    if (!this.#isShared || (topic === undefined && !isRunId(id))) return undefined
    const isKnown = () => {
      if (topic !== undefined) return this.#runs.find(topic) !== undefined
      for (const run of this.#runs) if (run.id === id) return true
      return false
    }
    if (isKnown()) return undefined
    return this.#waiting.until(() => this.#isClosed || isKnown())
  }

  /** Appends a piece that has arrived from the engine. @returns its id */
  receive(event: RunEvent, { id, n, last = false }: RunMark, publisher: string): string {
    this.#signs.set(publisher, performance.now())
    const name = `${id}-${n}`
    const run = this.#meet(event.topic!, id, publisher, RUN_BOUNDS, n)
    if (run === undefined || run.ended || n <= run.head) return name
    if (n > run.head + 1) {
      run.log.skipTo(n - 1)
      this.#context.skipGap(run)
    }
    this.#append(run, event, last)
    return name
  }

  /** Handles a message about runs of another process, or of this one. */
  hear(message: RunMessage, publisher: string, isHistory: boolean): void {
    this.#signs.set(publisher, performance.now())
    if (message.is === 'begin') this.#meet(message.topic, message.id, publisher, message.bounds)
    else if (message.is === 'alive') for (const topic of message.heard) this.#noteHeard(this.#runs.find(topic))
    else if (!isHistory) {
      const run = this.#runs.find(message.topic)
      if (run !== undefined) this.#known.get(run)?.work?.stop('stopped')
    }
  }

  /** Stops the runs of this process. Resolves when their sources have ended, or after half a second. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    this.#waiting.look()
    const works = [...this.#known.values()].flatMap(({ work }) => work ?? [])
    for (const work of works) work.stop('closed')
    await waitAtMost(GRACE, Promise.all(works.map(({ finished }) => finished)))
  }

  /** Drops all runs. */
  clear(): void {
    this.#runs.clear()
  }

  get #isShared(): boolean {
    return this.#context.isShared()
  }

  #append(run: RunLog, { body, isText = false }: RunEvent, last: boolean, ownId?: string): void {
    this.#runs.append(run, body, isText, last, ownId)
    if (last) this.#runs.linger(run, this.#known.get(run)!.bounds.linger)
  }

  /** Finds the run of another process by its id, or starts to mirror it. Undefined if there is no room for it. */
  #meet(topic: string, id: string, publisher: string, bounds: typeof RUN_BOUNDS, first = 1): RunLog | undefined {
    const known = this.#runs.find(topic)
    if (known?.id === id) return known
    if (known !== undefined && !known.ended) return undefined
    if (this.#runs.isFull) {
      if (!this.#saidFull) this.#context.logger.warn({ topic }, 'SSE: a run of another process finds no room here')
      this.#saidFull = true
      return undefined
    }
    if (known !== undefined) this.#runs.remove(known)
    const run = this.#runs.add(topic, id, bounds, first)
    this.#known.set(run, { bounds, publisher, heardAt: performance.now(), abandonAfter: Number.POSITIVE_INFINITY })
    this.#look()
    this.#waiting.look()
    return run
  }

  /** Starts the regular checks, which go on while there are runs. */
  #look(): void {
    this.#timer ??= setInterval(() => this.#tend(performance.now()), this.#silence / LOOKS).unref()
  }

  #tend(now: number): void {
    if (this.#known.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
      this.#signs.clear()
      return
    }
    const heard: string[] = []
    let works = 0
    for (const [run, known] of this.#known) {
      if (run.ended) continue
      if (run.isHeard) known.heardAt = now
      const { work, publisher } = known
      if (work !== undefined) {
        works++
        if (this.#isOver(known.heardAt, this.#patienceOf(known), now)) work.stop('abandoned')
        continue
      }
      if (run.isHeard) heard.push(run.topic)
      // While the engine is out of reach no process can be heard of.
      if (!this.#context.isConnected()) this.#signs.set(publisher!, now)
      else if (this.#isOver(this.#signs.get(publisher!)!, this.#silence, now)) this.#lose(run)
    }
    this.#lookedAt = now
    if (this.#isShared && (works > 0 || heard.length > 0)) this.#context.tell({ is: 'alive', heard })
  }

  /** How long a run may have no listener, ms. Those of other processes are known a look later, and once more after a message. */
  #patienceOf({ abandonAfter }: Known): number {
    return this.#isShared ? Math.max(abandonAfter, (2 * this.#silence) / LOOKS) : abandonAfter
  }

  /**
   * Whether nothing has been heard since `at` for too long. Among several processes it must have been nearly so at the last look: after
   * this process stood still, signs of life may have arrived that it has yet to read.
   */
  #isOver(at: number, limit: number, now: number): boolean {
    if (now - at < limit) return false
    return !this.#isShared || this.#lookedAt - at >= limit - this.#silence / LOOKS
  }

  /** Ends a run whose process has been silent for too long. */
  #lose(run: RunLog): void {
    const event = this.#context.encoder.encode({ reason: 'lost' }, { event: FAILED, topic: run.topic })
    // The process may live and go on, unheard here: the next number belongs to its next piece. Others answer this id with `resync`.
    this.#append(run, event, true, `${run.id}-lost`)
  }

  #noteHeard(run: RunLog | undefined): void {
    const known = run && this.#known.get(run)
    if (known !== undefined) known.heardAt = performance.now()
  }
}
