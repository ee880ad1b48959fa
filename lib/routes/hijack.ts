import { type OutgoingHttpHeaders, validateHeaderName, validateHeaderValue } from 'node:http'
import { Readable, type Writable } from 'node:stream'
import { gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify'
import { HeadSentError, StreamConsumedError } from '../api/errors.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Client } from '../hub/clients/client.js'
import { logFields } from '../hub/clients/clients.js'
import type { Hub } from '../hub/hub.js'
import type { Headers } from '../wire/response.js'
import type { Hearing } from './hearing.js'
import { refusal } from './refusal.js'
import type { RequestScope } from './request-scope.js'

/** Where a request that has been let in holds the body of its answer. */
const BODY = Symbol('pylon-sse.body')
/** Where a request says that its answer may be compressed. */
const ZIP = Symbol('pylon-sse.zip')
/** Characters from which on an answer is worth compressing. */
const MIN_ZIPPED = 1024

interface Admitted {
  [BODY]?: StreamBody
  [ZIP]?: true
}

/** What a request becomes a stream with. */
export interface Opening {
  readonly client: Client
  readonly scope: RequestScope
  readonly onConnect: Hearing['onConnect']
  readonly hub: Hub
  readonly options: ResolvedOptions
  /** Whether the route is the plugin's, whose last hook takes the response over. On others Fastify has the body pipe itself. */
  readonly isOwnRoute: boolean
}

/** Stands for the stream while `onSend` hooks run. They pass it on; none may read it. */
class StreamBody extends Readable {
  readonly opening: Opening
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply

  constructor(opening: Opening, request: FastifyRequest, reply: FastifyReply) {
    super()
    this.opening = opening
    this.#request = request
    this.#reply = reply
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

  /** On a route of the app Fastify calls it after all hooks, with the response: that is taken over then. */
  override pipe<To extends NodeJS.WritableStream>(to: To, options?: { end?: boolean }): To {
    if (this.opening.isOwnRoute) return super.pipe(to, options)
    if ((to as unknown) !== this.#reply.raw) {
      // Nobody may listen yet; Fastify looks whether it has failed when it gets it.
      ;(to as unknown as Writable).on('error', () => {}).destroy(new StreamConsumedError())
      return to
    }
    if (this.isRead) {
      this.destroy(new StreamConsumedError())
      return to
    }
    const instead = begin(this, this.#request, this.#reply)
    if (instead instanceof Error) {
      this.destroy(instead)
      return to
    }
    if (instead !== undefined) {
      const { raw } = this.#reply.hijack()
      raw.writeHead(this.#reply.statusCode, this.#reply.getHeaders() as OutgoingHttpHeaders).end(instead)
    }
    // For Fastify it has come to its end: it has nothing more to do with the response.
    this.push(null)
    this.resume()
    return to
  }
}

/** As a payload rather than past Fastify, so that onSend hooks run: @fastify/cookie sets its header in one. */
export function sendStream(opening: Opening, request: FastifyRequest, reply: FastifyReply): void {
  const body = new StreamBody(opening, request, reply)
  ;(request as Admitted)[BODY] = body
  // @fastify/compress would hold events back; an app that registers it globally does not mean streams.
  if (!opening.isOwnRoute) request.headers['x-no-compression'] ??= 'stream'
  reply.send(body)
}

/** The answer, if it is text, is to be compressed. */
export function zipAnswer(request: FastifyRequest): void {
  ;(request as Admitted)[ZIP] = true
}

/** The last of the onSend hooks, which takes the response over from Fastify by not passing it on. */
export const takeOver: onSendHookHandler = (request, reply, payload, done) => {
  const body = (request as Admitted)[BODY]
  if (body === undefined || typeof (payload as Partial<Readable> | null)?.pipe !== 'function') {
    // A page, the answer of another hook, or an error.
    if ((request as Admitted)[ZIP] && typeof payload === 'string') zip(payload, reply, done)
    else done(null, payload)
    return
  }
  // What a hook makes of the stream would never end; one that reads it, reads nothing.
  if (payload !== body || body.isRead) {
    body.opening.hub.reject('failed')
    done(new StreamConsumedError())
    return
  }
  const instead = begin(body, request, reply)
  if (instead instanceof Error) done(instead)
  else if (instead !== undefined) done(null, instead)
}

/** Takes the response over, and lets the stream begin. @returns what is to be answered instead, where it cannot */
function begin({ opening }: StreamBody, request: FastifyRequest, reply: FastifyReply): Error | string | undefined {
  const { client, scope, onConnect, hub, options } = opening
  if (client.gone) {
    reply.hijack()
    return undefined
  }
  if (client.closed) return refusal(hub, 'closing', options, request, reply)
  reply.removeHeader('content-length')
  const headers = reply.getHeaders()
  try {
    checkHead(headers, reply)
  } catch (error) {
    hub.reject('failed')
    return error as Error
  }
  reply.hijack()
  // Not before: an error in its place would be said to be compressed.
  if (client.compressed) headers['content-encoding'] = 'gzip'
  scope.keep()
  client.open(headers, () => {
    hub.diagnostics.connect(client, request, reply.elapsedTime)
    if (onConnect === undefined) client.start()
    else welcome(opening, request)
  })
  return undefined
}

async function welcome({ client, scope, onConnect, hub }: Opening, request: FastifyRequest): Promise<void> {
  try {
    await onConnect!(client, request)
    // It may have asked for the signal.
    scope.keep()
    client.start()
  } catch (err) {
    scope.log.error({ err, ...logFields(client) }, 'SSE: onConnect failed, and the client is disconnected')
    client.end('error', { retry: hub.clients.retryWithJitter() })
  }
}

function zip(text: string, reply: FastifyReply, done: (error: Error | null, payload?: unknown) => void): void {
  if (text.length < MIN_ZIPPED || reply.hasHeader('content-encoding')) {
    done(null, text)
    return
  }
  reply.header('content-encoding', 'gzip').removeHeader('content-length')
  gzip(text, done)
}

/** Values of fields that have been found right: most responses have the same ones. */
const checked = new Map<string, unknown>()
const MAX_CHECKED = 100

/**
 * Throws what writing the head would, while Fastify can still answer with the error, and takes away what it is about.
 * Headers that HTTP/2 forbids it passes over: with a hook that sets them Fastify cannot answer, either.
 */
function checkHead(headers: Headers, reply: FastifyReply): void {
  if (reply.raw.headersSent) throw new HeadSentError()
  for (const [name, value] of Object.entries(headers)) {
    try {
      if (checked.get(name) === value) continue
      validateHeaderName(name)
      for (const single of [value].flat()) validateHeaderValue(name, String(single))
    } catch (error) {
      reply.removeHeader(name)
      throw error
    }
    if (typeof value === 'string' && checked.size < MAX_CHECKED) checked.set(name, value)
  }
}
