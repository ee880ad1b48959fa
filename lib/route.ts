import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { Http2ServerResponse } from 'node:http2'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest, onSendHookHandler, RouteOptions } from 'fastify'
import Negotiator from 'negotiator'
import type { Client } from './client.js'
import { addCorsHook } from './cors.js'
import { ClosingError, HeadSentError, NotAcceptableError, StreamConsumedError, TooManyClientsError } from './errors.js'
import type { Hub } from './hub.js'
import type { ResolvedOptions } from './options.js'
import { EventStream, type Headers } from './stream.js'

const EVENT_STREAM = 'text/event-stream'
const HEAD = {
  'content-type': EVENT_STREAM,
  // no-transform: a proxy that compresses would hold events back.
  'cache-control': 'no-cache, no-transform',
  // nginx buffers proxied responses otherwise.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff'
}

/**
 * Adds the routes of the stream to a scope of their own, where the CORS hook comes before the hooks that the app adds
 * later: an app's authentication would otherwise refuse the preflight, which carries no credentials.
 */
export async function addRoutes(scope: FastifyInstance, hub: Hub, options: ResolvedOptions): Promise<void> {
  const { path: url, route, cors } = options
  const { onSend, ...userRoute } = route
  const config = { ...route.config, ...(cors !== false && (await addCorsHook(scope, cors))) }
  const stream: Omit<RouteOptions, 'method'> = {
    ...userRoute,
    config: config as NonNullable<RouteOptions['config']>,
    url,
    exposeHeadRoute: false,
    // Ours comes last, for what the others set on the reply to arrive.
    onSend: [...list(onSend), takeOver(hub, options)],
    handler: (request, reply) => answer(hub, options, request, reply)
  }
  // @fastify/compress would hold events back; an app that registers it globally does not mean streams.
  Object.assign(stream, { compress: false })
  scope.route({ ...stream, method: 'GET' })
  // Kept out of API descriptions, which would have every operation twice.
  scope.route({ ...stream, method: 'HEAD', schema: { ...route.schema, hide: true } as object })
  if (cors === false) return
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

/** The bodies of requests that have been let in. */
const admitted = new WeakMap<FastifyRequest, StreamBody>()

/** Stands for the stream while `onSend` hooks run. They pass it on; none may read it. */
class StreamBody extends Readable {
  readonly client: Client

  constructor(client: Client) {
    super()
    this.client = client
    // `pipe` hands no error on. What a hook made of the stream is refused where it comes out.
    this.on('error', () => {})
  }

  /** Whether someone has read it, or means to. */
  get isRead(): boolean {
    return this.destroyed || this.readableFlowing !== null
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
  if (hub.closing) throw closingError(hub, request, reply)
  if (request.method === 'HEAD') {
    reply.headers(HEAD).send()
    return
  }
  if (EventStream.isGone(request.raw, reply.raw)) {
    // While a hook took its time. There is nobody to answer, and nothing would tell again that the client has gone.
    reply.hijack()
    return
  }
  const client = hub.admit(request.ip, lastEventId(request), request.raw, reply.raw)
  if (client === undefined) {
    hub.reject('tooManyClients')
    reply.header('retry-after', Math.ceil(hub.retryWithJitter() / 1000))
    throw new TooManyClientsError(options.maxClientsPerIp)
  }
  const body = new StreamBody(client)
  admitted.set(request, body)
  // As a payload rather than past Fastify, so that onSend hooks run: @fastify/cookie sets its header in one.
  reply.headers(HEAD).send(body)
}

/** The server closes: also the connection, which would otherwise be kept, and keep the server from closing. */
function closingError(hub: Hub, request: FastifyRequest, reply: FastifyReply): Error {
  hub.reject('closing')
  if (request.raw.httpVersionMajor === 1) reply.header('connection', 'close')
  else (reply.raw as unknown as Http2ServerResponse).stream?.session?.close()
  return new ClosingError()
}

/** The hook that takes the response over from Fastify, by not passing it on. */
function takeOver(hub: Hub, { onConnect }: ResolvedOptions): onSendHookHandler {
  return function takeOverStream(request, reply, payload, done) {
    const body = admitted.get(request)
    if (body === undefined || typeof (payload as Partial<Readable> | null)?.pipe !== 'function') {
      // The answer of another hook stands, or an error.
      done(null, payload)
      return
    }
    // What a hook makes of the stream would never end; one that reads it, reads nothing.
    if (payload !== body || body.isRead) {
      done(new StreamConsumedError())
      return
    }
    const { client } = body
    if (client.gone) {
      reply.hijack()
      return
    }
    if (client.closed) {
      done(closingError(hub, request, reply))
      return
    }
    reply.removeHeader('content-length')
    const headers = reply.getHeaders()
    try {
      checkHead(headers, reply)
    } catch (error) {
      done(error as Error)
      return
    }
    reply.hijack()
    client.open(headers, () => {
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

/** Throws what writing the head would, while Fastify can still answer with the error. */
function checkHead(headers: Headers, reply: FastifyReply): void {
  if (reply.raw.headersSent) throw new HeadSentError()
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name)
    for (const single of list(value)) validateHeaderValue(name, String(single))
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
  const value = (request.query as Record<string, unknown>).lastEventId
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
