import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest, onSendHookHandler, RouteOptions } from 'fastify'
import Negotiator from 'negotiator'
import type { Client } from './client.js'
import { corsPolicy } from './cors.js'
import { ClosingError, NotAcceptableError, StreamConsumedError, TooManyClientsError } from './errors.js'
import type { Hub } from './hub.js'
import type { ResolvedOptions } from './options.js'

const EVENT_STREAM = 'text/event-stream'
const HEAD = {
  'content-type': EVENT_STREAM,
  // no-transform: a proxy that compresses would hold events back.
  'cache-control': 'no-cache, no-transform',
  // nginx buffers proxied responses otherwise.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff'
}

/** Adds the route of the stream, and with `cors` the one of its preflight. */
export async function addRoute(app: FastifyInstance, hub: Hub, options: ResolvedOptions): Promise<void> {
  const { path: url, route, cors } = options
  const { onSend, ...userRoute } = route
  const stream: RouteOptions = {
    ...userRoute,
    method: ['GET', 'HEAD'],
    url,
    exposeHeadRoute: false,
    // Ours comes last, for what the others set on the reply to arrive.
    onSend: [...list(onSend), takeOver(hub, options)],
    handler: (request, reply) => answer(hub, options, request, reply)
  }
  // @fastify/compress would hold events back; an app that registers it globally does not mean streams.
  Object.assign(stream, { compress: false })
  if (cors !== false) {
    const { name, hook, config } = await corsPolicy(app, cors)
    const { constraints, logLevel } = route
    const shared = { url, ...(constraints && { constraints }), ...(logLevel && { logLevel }) }
    app.route({
      ...shared,
      method: 'OPTIONS',
      schema: { hide: true } as object,
      config,
      [name]: hook,
      // The hook answers, except where the policy says that there is no cross-origin access.
      handler: (_request, reply) => reply.callNotFound()
    })
    stream.config = { ...route.config, ...config } as NonNullable<RouteOptions['config']>
    // Before the user's own hooks: an answer of theirs, a 401 say, must be readable across origins.
    Object.assign(stream, { [name]: [hook, ...list<unknown>(route[name])] })
  }
  app.route(stream)
}

/** Stands for the stream while `onSend` hooks run. They pass it on; none may read it. */
class StreamBody extends Readable {
  readonly client: Client

  constructor(client: Client) {
    super()
    this.client = client
  }

  override _read(): void {
    this.destroy(new StreamConsumedError())
  }
}

/** The handler: negotiates, and lets the client in. */
function answer(hub: Hub, options: ResolvedOptions, request: FastifyRequest, reply: FastifyReply): void {
  if (!acceptsEventStream(request)) {
    hub.reject('notAcceptable')
    throw new NotAcceptableError()
  }
  if (hub.closing) {
    hub.reject('closing')
    throw new ClosingError()
  }
  if (request.method === 'HEAD') {
    reply.headers(HEAD).send()
    return
  }
  const client = hub.admit(request.ip, lastEventId(request), request.raw, reply.raw)
  if (client === undefined) {
    hub.reject('tooManyClients')
    reply.header('retry-after', Math.ceil(hub.retryWithJitter() / 1000))
    throw new TooManyClientsError(options.maxClientsPerIp)
  }
  // As a payload rather than past Fastify, so that onSend hooks run: @fastify/cookie sets its header in one.
  reply.headers(HEAD).send(new StreamBody(client))
}

/** The hook that takes the response over from Fastify, by not passing it on. */
function takeOver(hub: Hub, { onConnect }: ResolvedOptions): onSendHookHandler {
  return function takeOverStream(request, reply, payload, done) {
    if (!(payload instanceof StreamBody)) {
      done(null, payload)
      return
    }
    const { client } = payload
    if (client.closed) {
      done(new ClosingError())
      return
    }
    reply.hijack()
    reply.removeHeader('content-length')
    client.open(reply.getHeaders(), () => {
      if (onConnect === undefined) client.start()
      else welcome(client, request)
    })
  }

  async function welcome(client: Client, request: FastifyRequest): Promise<void> {
    try {
      await onConnect!(client, request)
      client.start()
    } catch (err) {
      request.log.error({ err, client: client.id }, 'SSE onConnect failed')
      client.end('error', hub.retryWithJitter())
    }
  }
}

/** An empty Accept says as much as none (RFC 9110 12.5.1). */
function acceptsEventStream(request: FastifyRequest): boolean {
  const { accept } = request.headers
  return !accept || new Negotiator(request.raw).mediaType([EVENT_STREAM]) !== undefined
}

/** The cursor that the client shows: the header of WHATWG HTML 9.2.4, or the query where it cannot set headers. */
function lastEventId(request: FastifyRequest): string | undefined {
  const header = request.headers['last-event-id']
  if (typeof header === 'string' && header !== '') return decodeHeader(header)
  const value = (request.query as Record<string, unknown> | undefined)?.lastEventId
  const first = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' && first !== '' ? first : undefined
}

/** Browsers send the id as UTF-8 (WHATWG HTML 9.2.4), other clients as Latin-1; Node reads every header as Latin-1. */
function decodeHeader(header: string): string {
  if (/[^\0-\xff]/.test(header)) return header
  const text = Buffer.from(header, 'latin1').toString()
  return text.includes('\ufffd') ? header : text
}

function list<T>(value: T | T[] | undefined): T[] {
  if (value === undefined) return []
  return Array.isArray(value) ? value : [value]
}
