import type { FastifyReply, FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import { InjectError, NotAcceptableError, RunGoneError } from '../api/errors.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Client } from '../hub/clients/client.js'
import { logFields } from '../hub/clients/clients.js'
import { isLast, type Until } from '../hub/clients/last-event.js'
import type { Hub } from '../hub/hub.js'
import { DONE, FAILED, type RunLog } from '../hub/runs/run-log.js'
import { STAY_AWAY } from '../log/encode.js'
import type { Position } from '../log/event-log.js'
import type { Connections } from '../wire/connections.js'
import { isGone } from '../wire/response-end.js'
import { EVENT_STREAM, negotiate, STREAM_HEAD } from '../wire/stream-request.js'
import { Admission } from './admission.js'
import type { Hearing } from './hearing.js'
import { sendStream, zipAnswer } from './hijack.js'
import { sendPage } from './page.js'
import { refusal } from './refusal.js'
import { RequestScope } from './request-scope.js'
import { readStreamOptions, type StreamOptions } from './stream-options.js'
import { StreamPaths } from './stream-paths.js'

/** Where a stream begins, and whether it goes on from there. */
interface Place {
  readonly position: Position
  readonly resumes: boolean
}

/** The events that end a run. */
const ENDS = [DONE, FAILED]
const NO_TOPICS: ReadonlySet<string> = new Set()

/** Where requests come in: negotiates, and lets them in or not. */
export class Entrance {
  /** Where routes of the app answer with streams. */
  readonly paths = new StreamPaths()
  readonly #hub: Hub
  readonly #connections: Connections
  readonly #options: ResolvedOptions
  readonly #admission: Admission
  /** What those hear who come by the plugin's own route, and ask for no topics. */
  readonly #common: Hearing

  constructor(hub: Hub, connections: Connections, options: ResolvedOptions) {
    this.#hub = hub
    this.#connections = connections
    this.#options = options
    this.#admission = new Admission(hub, options)
    const { onConnect } = options
    this.#common = {
      run: undefined,
      topics: NO_TOPICS,
      everyone: true,
      from: 'now',
      until: undefined,
      state: undefined,
      onConnect
    }
  }

  /** The handler of the plugin's own route. It returns no promise: Fastify would wait for it until the stream ends. */
  answer(request: FastifyRequest, reply: FastifyReply): void {
    const asksForTopics = this.#admission.asksForTopics(request)
    this.#answer(request, reply, asksForTopics ? () => this.#asked(request) : this.#common, true)
  }

  /** As `Sse.stream`. */
  stream(request: FastifyRequest, reply: FastifyReply, options: StreamOptions = {}): Promise<never> {
    const hearing = readStreamOptions(options, this.#options)
    this.#connections.carry(request.raw, reply.raw)
    this.paths.note(request)
    this.#answer(request, reply, hearing, false)
    // An async handler must not end before its answer is under way: Fastify would send one of its own.
    return new Promise((resolve) => {
      const done = () => resolve(undefined as never)
      reply.then(done, done)
    })
  }

  async #asked(request: FastifyRequest): Promise<Hearing> {
    return { ...this.#common, topics: await this.#admission.topics(request) }
  }

  #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    hearing: Hearing | (() => Promise<Hearing>),
    isOwnRoute: boolean
  ): void {
    const type = negotiate(request.headers)
    if (type === undefined) {
      this.#hub.reject('notAcceptable')
      throw new NotAcceptableError()
    }
    const isKnown = typeof hearing !== 'function'
    const shown = type === EVENT_STREAM ? lastEventId(request) : since(request)
    const behind = this.#hub.catchUp(shown ?? (isKnown && hearing.from !== 'now' ? hearing.from : undefined))
    const unheard = this.#hub.runner.await(isKnown ? hearing.run : undefined, shown)
    if (behind === undefined && unheard === undefined && isKnown) {
      this.#serve(type, hearing, request, reply, isOwnRoute)
      return
    }
    Promise.all([isKnown ? hearing : hearing(), behind, unheard])
      .then(([heard]) => this.#serve(type, heard, request, reply, isOwnRoute))
      .catch((error) => reply.send(asError(error)))
  }

  #serve(type: string, wanted: Hearing, request: FastifyRequest, reply: FastifyReply, isOwnRoute: boolean): void {
    if (isGone(request.raw, reply.raw)) {
      // While a hook took its time. There is nobody to answer, and nothing would tell again that the client has gone.
      reply.hijack()
      new RequestScope(request, false).abort()
      return
    }
    // Here, since it may close while `authorizeTopics` takes its time.
    if (this.#hub.closing) {
      reply.send(refusal(this.#hub, 'closing', this.#options, request, reply))
      return
    }
    const run = this.#runOf(wanted)
    const hearing =
      run === undefined ? wanted : { ...wanted, topics: new Set([run.topic]), everyone: false, until: ENDS }
    const takesZipped = this.#options.compress && takesGzip(request)
    const compressed = type === EVENT_STREAM && takesZipped
    if (this.#options.compress) {
      reply.header('vary', [reply.getHeader('vary') ?? [], 'accept-encoding'].flat().join(', '))
    }
    if (request.method === 'HEAD') {
      if (compressed) reply.header('content-encoding', 'gzip')
      reply.headers({ ...STREAM_HEAD, 'content-type': type }).send()
      return
    }
    const position = type === EVENT_STREAM ? this.#place(request, hearing, run) : undefined
    if (position === 'completed') {
      reply.code(204).send()
      return
    }
    const slot = this.#admission.slot(request)
    if (typeof slot === 'string') {
      reply.send(refusal(this.#hub, slot, this.#options, request, reply))
      return
    }
    if (position !== undefined) {
      if (isInjectedWhole(request)) {
        slot.release()
        throw new InjectError()
      }
      const scope = new RequestScope(request, this.#options.onDisconnect !== undefined)
      const { topics, everyone, state, onConnect } = hearing
      let client: Client | undefined
      const until = guarded(hearing.until, (err) => this.#fail(client!, err))
      const { tell } = request.query as Record<string, unknown>
      const tellsSubscriptions = tell === 'subscriptions'
      const heard = { source: run, topics, tellsSubscriptions, everyone, state, until, ...position }
      const arrival = { ...heard, ip: request.ip, slot, compressed, scope, req: request.raw, res: reply.raw }
      reply.headers(STREAM_HEAD)
      client = this.#hub.clients.admit(arrival)
      sendStream({ client, scope, onConnect, hub: this.#hub, options: this.#options, isOwnRoute }, request, reply)
      return
    }
    if (takesZipped && isOwnRoute) zipAnswer(request)
    this.#admission.releaseWithPage(slot, request, reply)
    sendPage(this.#hub, hearing, run ?? this.#hub, request, reply).catch((error) => reply.send(error))
  }

  /**
   * The run that is to be heard: one that was asked for as such, or the one whose topic is the only one asked for.
   *
   * @throws RunGoneError where the former is not there
   */
  #runOf({ run: topic, topics }: Hearing): RunLog | undefined {
    const { runner } = this.#hub
    if (topic === undefined) return topics.size === 1 ? runner.find([...topics][0]!) : undefined
    const run = runner.find(topic)
    if (run === undefined) throw new RunGoneError()
    return run
  }

  /** Where a stream begins; `completed`, where it has ended before with what the request shows. */
  #place(request: FastifyRequest, hearing: Hearing, run: RunLog | undefined): Place | 'completed' {
    const { from, until } = hearing
    const { log } = this.#hub
    const id = lastEventId(request)
    if (id === STAY_AWAY) return 'completed'
    if (run !== undefined) {
      const shown = id === '0' ? undefined : id
      const position = run.positionOf(shown)
      return position === undefined ? 'completed' : { position, resumes: shown !== undefined }
    }
    const oldest = { position: { seq: log.oldestCursor }, resumes: false }
    if (id !== undefined) {
      // As on the page. A header brings back what the client was told.
      const asksForOldest = id === '0' && request.headers['last-event-id'] === undefined && !log.has(id)
      if (asksForOldest) return oldest
      const position = this.#hub.positionOf(id, hearing)
      const entry = 'seq' in position && position.seq >= log.oldest ? log.at(position.seq) : undefined
      const isCompleted = until !== undefined && entry !== undefined && isLast(guarded(until, () => {})!, entry)
      return isCompleted ? 'completed' : { position, resumes: true }
    }
    if (from === 'oldest') return oldest
    return { position: this.#hub.positionOf(from === 'now' ? undefined : from, hearing), resumes: false }
  }

  /** What the app's `until` has thrown ends the stream, though never amid its writing. */
  #fail(client: Client, err: unknown): void {
    queueMicrotask(() => {
      client.scope.log.error({ err, ...logFields(client) }, 'SSE: until failed, and the client is disconnected')
      client.end('error', { retry: this.#hub.clients.retryWithJitter() })
    })
  }
}

function guarded(until: Until | undefined, fail: (error: unknown) => void): Until | undefined {
  if (typeof until !== 'function') return until
  return (event) => {
    try {
      return until(event)
    } catch (error) {
      fail(error)
      return false
    }
  }
}

/** Whether `app.inject` waits for the answer's end (light-my-request). */
function isInjectedWhole({ raw }: FastifyRequest): boolean {
  const { isLightMyRequest, _lightMyRequest } = raw as Partial<InjectedRequest>
  return isLightMyRequest === true && _lightMyRequest?.payloadAsStream !== true
}

interface InjectedRequest {
  isLightMyRequest: boolean
  _lightMyRequest: { payloadAsStream?: boolean }
}

/** What is thrown and is no error, `reply.send` would take for the answer. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  const fields = typeof thrown === 'object' && thrown !== null ? thrown : { message: String(thrown) }
  return Object.assign(new Error('authorizeTopics threw what is no error', { cause: thrown }), fields)
}

/** The cursor that the client shows: the header of WHATWG HTML 9.2.4, or the query where it cannot set headers. */
function lastEventId(request: FastifyRequest): string | undefined {
  const header = request.headers['last-event-id']
  if (typeof header === 'string' && header !== '') return header
  const value = (request.query as Record<string, unknown>).lastEventId
  const first = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' && first !== '' ? first : undefined
}

/** Where the client would rather have it plain, it gets it plain. */
function takesGzip(request: FastifyRequest): boolean {
  return new Negotiator(request.raw).encoding(['gzip', 'identity']) === 'gzip'
}

/** The cursor of a page's request; what it asks for otherwise is looked at later. */
function since(request: FastifyRequest): string | undefined {
  const value = (request.query as Record<string, unknown>).since
  return typeof value === 'string' ? value : undefined
}
