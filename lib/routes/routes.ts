import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import Negotiator from 'negotiator'
import { InjectError, NotAcceptableError } from '../errors.js'
import type { Hub } from '../hub.js'
import { STAY_AWAY } from '../log/encode.js'
import type { ResolvedOptions } from '../options.js'
import type { Connections } from '../wire/connections.js'
import { EventStream } from '../wire/stream.js'
import { EVENT_STREAM, negotiate, STREAM_HEAD } from '../wire/stream-request.js'
import { Admission } from './admission.js'
import { addCorsHook } from './cors.js'
import { sendStream, takeOver, zipAnswer } from './hijack.js'
import { describedBy, describePublish, describeStream } from './openapi.js'
import { sendPage } from './page.js'
import { addPublishRoute } from './publish.js'
import { refusal } from './refusal.js'
import { RequestScope } from './request-scope.js'

/** Those that a stream or a page is asked for with. */
const STREAM_METHODS = ['GET', 'HEAD']
const NO_TOPICS: ReadonlySet<string> = new Set()

/**
 * Adds the routes of the stream to a scope of their own, where the CORS hook comes before the hooks that the app adds
 * later: an app's authentication would otherwise refuse the preflight, which carries no credentials.
 */
export async function addRoutes(
  scope: FastifyInstance,
  hub: Hub,
  connections: Connections,
  options: ResolvedOptions
): Promise<void> {
  const { path: url, route, cors, publish } = options
  scope.addHook('onRequest', (request, reply, done) => {
    connections.carry(request.raw, reply.raw)
    done()
  })
  const config = { ...route.config, ...(cors !== false && (await addCorsHook(scope, cors))) }
  const entrance = new Entrance(hub, options)
  const stream: Omit<RouteOptions, 'method'> = {
    ...route,
    config: config as NonNullable<RouteOptions['config']>,
    url,
    exposeHeadRoute: false,
    handler: (request, reply) => entrance.answer(request, reply)
  }
  // @fastify/compress would hold events back; an app that registers it globally does not mean streams.
  Object.assign(stream, { compress: false })
  const last = takeOver(hub, options)
  // Ours comes last, for what the others set on the reply to arrive. An app's `onRoute` hooks may add `onSend` hooks,
  // too; they have run before this one, which is the scope's own.
  scope.addHook('onRoute', (added) => {
    if (STREAM_METHODS.includes(String(added.method))) added.onSend = [added.onSend ?? [], last].flat()
  })
  scope.route({ ...stream, method: 'GET', config: describedBy(describeStream(options), config) })
  // Kept out of API descriptions, which would have every operation twice. An array, since for a mere 'HEAD' Fastify
  // leaves out the prefix itself where the path is '/'.
  scope.route({ ...stream, method: ['HEAD'], schema: { ...route.schema, hide: true } as object })
  if (publish !== false) {
    const described = { ...publish, config: describedBy(describePublish, publish.config) }
    addPublishRoute(scope, hub, url, described, options.allowsOrigins)
  }
  if (cors === false || !isFirstPreflight(scope, options)) return
  const { host } = (route.constraints ?? {}) as { host?: string | RegExp }
  scope.route({
    method: 'OPTIONS',
    url,
    // Of the constraints the host's alone: a preflight carries no other header.
    ...(host !== undefined && { constraints: { host } }),
    ...(route.logLevel && { logLevel: route.logLevel }),
    schema: { hide: true } as object,
    config: config as NonNullable<RouteOptions['config']>,
    // The hook answers, except where the policy says that there is no cross-origin access.
    handler: (_request, reply) => reply.callNotFound()
  })
}

/** Paths and hosts whose preflights are answered, by server. */
const preflights = new WeakMap<object, Set<string>>()

/**
 * Whether no other hub answers the preflights for this path and host: hubs that share both are told apart by other
 * constraints, a version say, which a preflight does not carry.
 */
function isFirstPreflight({ server, prefix }: FastifyInstance, { path, route }: ResolvedOptions): boolean {
  const { host } = (route.constraints ?? {}) as { host?: string | RegExp }
  const key = `${pathIn(prefix, path)} ${host ?? ''}`
  const answered = preflights.get(server) ?? new Set()
  preflights.set(server, answered)
  if (answered.has(key)) return false
  answered.add(key)
  return true
}

/** The whole path of a stream in a scope. Fastify's own answers for the prefix alone, too, where the path is '/'. */
export function pathIn(prefix: string, path: string): string {
  return path === '/' && prefix !== '' ? prefix : prefix + path
}

/** Where requests come in: negotiates, and lets them in or not. */
class Entrance {
  readonly #hub: Hub
  readonly #options: ResolvedOptions
  readonly #admission: Admission

  constructor(hub: Hub, options: ResolvedOptions) {
    this.#hub = hub
    this.#options = options
    this.#admission = new Admission(hub, options)
  }

  /** The handler. It returns no promise: Fastify would wait for it until the stream ends. */
  answer(request: FastifyRequest, reply: FastifyReply): void {
    const hub = this.#hub
    const type = negotiate(request.headers)
    if (type === undefined) {
      hub.reject('notAcceptable')
      throw new NotAcceptableError()
    }
    const behind = this.#hub.catchUp(type === EVENT_STREAM ? lastEventId(request) : since(request))
    if (behind === undefined && !this.#admission.asksForTopics(request)) {
      this.#serve(type, NO_TOPICS, request, reply)
      return
    }
    Promise.all([this.#topics(request), behind])
      .then(([topics]) => this.#serve(type, topics, request, reply))
      .catch((error) => reply.send(asError(error)))
  }

  async #topics(request: FastifyRequest): Promise<ReadonlySet<string>> {
    return this.#admission.asksForTopics(request) ? this.#admission.topics(request) : NO_TOPICS
  }

  #serve(type: string, topics: ReadonlySet<string>, request: FastifyRequest, reply: FastifyReply): void {
    if (EventStream.isGone(request.raw, reply.raw)) {
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
    const id = lastEventId(request)
    if (type === EVENT_STREAM && id === STAY_AWAY) {
      reply.code(204).send()
      return
    }
    const slot = this.#admission.slot(request)
    if (typeof slot === 'string') {
      reply.send(refusal(this.#hub, slot, this.#options, request, reply))
      return
    }
    if (type === EVENT_STREAM) {
      if (isInjectedWhole(request)) {
        slot.release()
        throw new InjectError()
      }
      const position = this.#hub.positionOf(id)
      const scope = new RequestScope(request, this.#options.onDisconnect !== undefined)
      const arrival = {
        ip: request.ip,
        topics,
        position,
        resumes: id !== undefined,
        slot,
        compressed,
        scope,
        req: request.raw,
        res: reply.raw
      }
      reply.headers(STREAM_HEAD)
      sendStream(this.#hub.clients.admit(arrival), scope, request, reply)
      return
    }
    if (takesZipped) zipAnswer(request)
    this.#admission.releaseWithPage(slot, request, reply)
    sendPage(this.#hub, topics, request, reply).catch((error) => reply.send(error))
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
