// Takes responses over from Fastify once all hooks have run, and opens the streams on them.

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
import { rejection } from './rejection.js'
import type { RequestScope } from './request-scope.js'
import type { ResolvedStreamOptions } from './stream-options.js'

/** The key of a request's stream body. */
const BODY = Symbol('pylon-sse.body')
/** The key that marks a request whose response may be compressed. */
const ZIP = Symbol('pylon-sse.zip')
/** Minimum length of a response that is compressed, characters. */
const MIN_ZIPPED = 1024

interface Admitted {
  [BODY]?: StreamBody | undefined
  [ZIP]?: true
}

/** What it takes to open a stream as the response to a request. */
export interface Opening {
  readonly client: Client
  readonly scope: RequestScope
  readonly onConnect: ResolvedStreamOptions['onConnect']
  readonly hub: Hub
  readonly options: ResolvedOptions
  /**
   * Whether the route is the plugin's own, whose last onSend hook takes the response over. On other routes Fastify
   * pipes the body instead.
   */
  readonly isOwnRoute: boolean
}

/** Stands for the stream while `onSend` hooks run, which must pass it on without reading it. */
class StreamBody extends Readable {
  readonly opening: Opening
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply

  constructor(opening: Opening, request: FastifyRequest, reply: FastifyReply) {
    super()
    this.opening = opening
    this.#request = request
    this.#reply = reply
    // Without a listener an error would end the process. If a hook has wrapped this body, `takeOver` refuses the wrapper.
    this.on('error', () => {})
  }

  /** Whether somebody has read it, or has begun to. */
  get isRead(): boolean {
    return this.destroyed || this.readableFlowing !== null
  }

  override _read(): void {
    this.destroy(new StreamConsumedError())
  }

  /** On a route of the app Fastify calls this after all hooks, with the response, which is then taken over. */
  override pipe<To extends NodeJS.WritableStream>(to: To, options?: { end?: boolean }): To {
    if (this.opening.isOwnRoute) return super.pipe(to, options)
    if ((to as unknown) !== this.#reply.raw) {
      // There may be no listener yet. Fastify checks whether the stream has failed when it gets it.
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
    // For Fastify this is the end: it has nothing more to do with the response.
    this.push(null)
    this.resume()
    return to
  }
}

/**
 * Sends the stream as a payload rather than past Fastify, so that onSend hooks run: @fastify/cookie sets its header in
 * one.
 */
export function sendStream(opening: Opening, request: FastifyRequest, reply: FastifyReply): void {
  const body = new StreamBody(opening, request, reply)
  if (opening.isOwnRoute) (request as Admitted)[BODY] = body
  // @fastify/compress would hold events back. An app that registers it globally does not mean it for streams.
  if (!opening.isOwnRoute) request.headers['x-no-compression'] ??= 'stream'
  reply.send(body)
}

/** Marks a request whose response is to be compressed, if it is text. */
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
  // A payload that a hook makes of the stream would never end, and a hook that reads the stream would get nothing.
  if (payload !== body || body.isRead) {
    body.opening.hub.reject('failed')
    done(new StreamConsumedError())
    return
  }
  // The request lives as long as its client. The body and the reply need not.
  ;(request as Admitted)[BODY] = undefined
  const instead = begin(body, request, reply)
  if (instead instanceof Error) done(instead)
  else if (instead !== undefined) done(null, instead)
}

/** Takes the response over and opens the stream. @returns what to send instead if it cannot */
function begin({ opening }: StreamBody, request: FastifyRequest, reply: FastifyReply): Error | string | undefined {
  const { client, scope, onConnect, hub, options } = opening
  if (client.gone) {
    reply.hijack()
    return undefined
  }
  if (client.closed) return rejection(hub, 'closing', options, request, reply)
  reply.removeHeader('content-length')
  const headers = reply.getHeaders()
  try {
    checkHead(headers, reply)
  } catch (error) {
    hub.reject('failed')
    return error as Error
  }
  reply.hijack()
  // Only now: an error that is sent instead must not be marked as compressed.
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
    // `onConnect` may have used `request.signal`.
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

/** Header values that have been found valid: most responses have the same ones. */
const checked = new Map<string, unknown>()
const MAX_CHECKED = 100

/**
 * Throws what writing the headers would throw, while Fastify can still answer with the error, and removes the header in
 * question. Headers that HTTP/2 forbids are not checked: with a hook that sets them Fastify cannot answer, either.
 */
function checkHead(headers: Headers, reply: FastifyReply): void {
  if (reply.raw.headersSent) throw new HeadSentError()
  for (const name of Object.keys(headers)) {
    const value = headers[name]
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
