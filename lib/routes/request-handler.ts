// Handles requests for streams and pages: negotiates the form, applies limits, and finds where a stream starts. What
// follows is in hijack.ts (streams) and page.ts (pages).

import type { FastifyReply, FastifyRequest } from 'fastify'
import Negotiator from 'negotiator'
import { InjectError, NotAcceptableError, RunGoneError } from '../api/errors.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Client } from '../hub/clients/client.js'
import { logFields } from '../hub/clients/clients.js'
import { isLast, type Until } from '../hub/clients/until.js'
import type { Hub } from '../hub/hub.js'
import { DONE, FAILED, type RunLog } from '../hub/runs/run-log.js'
import { STAY_AWAY } from '../log/encode.js'
import type { Position } from '../log/event-log.js'
import type { ConnectionDeadlines } from '../wire/connection-deadlines.js'
import { isGone } from '../wire/response-end.js'
import { EVENT_STREAM, negotiate, STREAM_HEAD } from '../wire/stream-request.js'
import { Admission } from './admission.js'
import { sendStream, zipAnswer } from './hijack.js'
import { lastEventId, since } from './last-event-id.js'
import { sendPage } from './page.js'
import { rejection } from './rejection.js'
import { RequestScope } from './request-scope.js'
import type { ResolvedStreamOptions } from './stream-options.js'
import { readStreamOptions, type StreamOptions } from './stream-options.js'
import { StreamPaths } from './stream-paths.js'

/** Where a stream starts, and whether it resumes there. */
interface Place {
  readonly position: Position
  readonly resumes: boolean
}

/** The names of the events that end a run. */
const ENDS = [DONE, FAILED]
const NO_TOPICS: ReadonlySet<string> = new Set()

/** Handles requests for streams and pages. */
export class RequestHandler {
  /** The routes of the app that answer with streams. */
  readonly paths = new StreamPaths()
  readonly #hub: Hub
  readonly #connections: ConnectionDeadlines
  readonly #options: ResolvedOptions
  readonly #admission: Admission
  /** Options of requests to the plugin's own route that ask for no topics. */
  readonly #common: ResolvedStreamOptions

  constructor(hub: Hub, connections: ConnectionDeadlines, options: ResolvedOptions) {
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
    const wanted = readStreamOptions(options, this.#options)
    this.#connections.carry(request.raw, reply.raw)
    this.paths.note(request)
    this.#answer(request, reply, wanted, false)
    // An async handler must not resolve before its answer has begun, or Fastify sends one of its own.
    return new Promise((resolve) => {
      const done = () => resolve(undefined as never)
      reply.then(done, done)
    })
  }

  async #asked(request: FastifyRequest): Promise<ResolvedStreamOptions> {
    return { ...this.#common, topics: await this.#admission.topics(request) }
  }

  #answer(
    request: FastifyRequest,
    reply: FastifyReply,
    wanted: ResolvedStreamOptions | (() => Promise<ResolvedStreamOptions>),
    isOwnRoute: boolean
  ): void {
    const type = negotiate(request.headers)
    if (type === undefined) {
      this.#hub.reject('notAcceptable')
      throw new NotAcceptableError()
    }
    const isKnown = typeof wanted !== 'function'
    // The id that the client sends, the wait until this process has read as far, and the wait for a run to be announced.
    const shown = type === EVENT_STREAM ? lastEventId(request) : since(request)
    const behind = this.#hub.awaitRead(shown ?? (isKnown && wanted.from !== 'now' ? wanted.from : undefined))
    const unannounced = this.#hub.runner.await(isKnown ? wanted.run : undefined, shown)
    if (behind === undefined && unannounced === undefined && isKnown) {
      this.#serve(type, wanted, request, reply, isOwnRoute)
      return
    }
    Promise.all([isKnown ? wanted : wanted(), behind, unannounced])
      .then(([resolved]) => this.#serve(type, resolved, request, reply, isOwnRoute))
      .catch((error) => reply.send(asError(error)))
  }

  #serve(
    type: string,
    wanted: ResolvedStreamOptions,
    request: FastifyRequest,
    reply: FastifyReply,
    isOwnRoute: boolean
  ): void {
    if (isGone(request.raw, reply.raw)) {
      // The client has gone while a hook was running. No event will tell of that any more.
      reply.hijack()
      new RequestScope(request, false).abort()
      return
    }
    // Checked here, since the app may close while `authorizeTopics` is running.
    if (this.#hub.closing) {
      reply.send(rejection(this.#hub, 'closing', this.#options, request, reply))
      return
    }
    const run = this.#runOf(wanted)
    const resolved =
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
    const place = type === EVENT_STREAM ? this.#place(request, resolved, run) : undefined
    if (place === 'completed') {
      reply.code(204).send()
      return
    }
    const slot = this.#admission.slot(request)
    if (typeof slot === 'string') {
      reply.send(rejection(this.#hub, slot, this.#options, request, reply))
      return
    }
    if (place !== undefined) {
      if (isInjectedWhole(request)) {
        slot.release()
        throw new InjectError()
      }
      const scope = new RequestScope(request, this.#options.onDisconnect !== undefined)
      const { topics, everyone, state, onConnect } = resolved
      let client: Client | undefined
      const until = guarded(resolved.until, (err) => this.#fail(client!, err))
      const { tell } = request.query as Record<string, unknown>
      const tellsSubscriptions = tell === 'subscriptions'
      reply.headers(STREAM_HEAD)
      // Without a spread, which would make a slow object of so many fields: some 5 % of the cost of a connect.
      client = this.#hub.clients.admit({
        ip: request.ip,
        source: run,
        topics,
        tellsSubscriptions,
        everyone,
        until,
        state,
        position: place.position,
        resumes: place.resumes,
        slot,
        compressed,
        scope,
        req: request.raw,
        res: reply.raw
      })
      // On a route of the app the app has chosen the topics, so the client is told of them.
      if (tellsSubscriptions && !isOwnRoute) for (const topic of topics) client.subscribe(topic)
      sendStream({ client, scope, onConnect, hub: this.#hub, options: this.#options, isOwnRoute }, request, reply)
      return
    }
    if (takesZipped && isOwnRoute) zipAnswer(request)
    this.#admission.releaseWithPage(slot, request, reply)
    sendPage(this.#hub, resolved, run ?? this.#hub, request, reply).catch((error) => reply.send(error))
  }

  /**
   * Returns the run that a request is for: that of the option `run`, or the one whose topic is the only one asked for.
   *
   * @throws RunGoneError if the run of the option does not exist
   */
  #runOf({ run: topic, topics }: ResolvedStreamOptions): RunLog | undefined {
    const { runner } = this.#hub
    if (topic === undefined) return topics.size === 1 ? runner.find([...topics][0]!) : undefined
    const run = runner.find(topic)
    if (run === undefined) throw new RunGoneError()
    return run
  }

  /** Returns where a stream starts; `completed` if it has already ended with the last event id of the request. */
  #place(request: FastifyRequest, options: ResolvedStreamOptions, run: RunLog | undefined): Place | 'completed' {
    const { from, until } = options
    const { log } = this.#hub
    const id = lastEventId(request)
    if (id === STAY_AWAY) return 'completed'
    if (run !== undefined) {
      const shown = id === '0' ? undefined : id
      const position = run.positionOf(shown)
      return position === undefined ? 'completed' : { position, resumes: shown !== undefined }
    }
    if (id !== undefined) {
      // `?lastEventId=0` starts with the oldest event, as `?since=0` does. In a header it can only be an id of the app.
      const asksForOldest = id === '0' && request.headers['last-event-id'] === undefined && !log.has(id)
      if (asksForOldest) return { position: { seq: log.oldestCursor }, resumes: false }
      const position = this.#hub.positionOf(id, options)
      const entry = 'seq' in position && position.seq >= log.oldest ? log.at(position.seq) : undefined
      const isCompleted = until !== undefined && entry !== undefined && isLast(guarded(until, () => {})!, entry)
      return isCompleted ? 'completed' : { position, resumes: true }
    }
    if (from === 'oldest') return { position: { seq: log.oldestCursor }, resumes: false }
    return { position: this.#hub.positionOf(from === 'now' ? undefined : from, options), resumes: false }
  }

  /** Ends a stream whose `until` has thrown, in a microtask: not while it is being written to. */
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

/** Whether `app.inject` (light-my-request) waits for the end of the response. */
function isInjectedWhole({ raw }: FastifyRequest): boolean {
  const { isLightMyRequest, _lightMyRequest } = raw as Partial<InjectedRequest>
  return isLightMyRequest === true && _lightMyRequest?.payloadAsStream !== true
}

interface InjectedRequest {
  isLightMyRequest: boolean
  _lightMyRequest: { payloadAsStream?: boolean }
}

/** Makes an Error of whatever was thrown: `reply.send` would send anything else as the response. */
function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown
  const fields = typeof thrown === 'object' && thrown !== null ? thrown : { message: String(thrown) }
  return Object.assign(new Error('authorizeTopics threw what is no error', { cause: thrown }), fields)
}

/** Whether the client prefers gzip to no compression. */
function takesGzip(request: FastifyRequest): boolean {
  return new Negotiator(request.raw).encoding(['gzip', 'identity']) === 'gzip'
}
