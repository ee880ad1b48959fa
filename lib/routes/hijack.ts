import { validateHeaderName, validateHeaderValue } from 'node:http'
import { Readable } from 'node:stream'
import { gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest, onSendHookHandler } from 'fastify'
import type { Client } from '../clients/client.js'
import { nameOf } from '../clients/clients.js'
import { HeadSentError, StreamConsumedError } from '../errors.js'
import type { Hub } from '../hub.js'
import type { ResolvedOptions } from '../options.js'
import type { Headers } from '../wire/stream.js'
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

/** Stands for the stream while `onSend` hooks run. They pass it on; none may read it. */
class StreamBody extends Readable {
  readonly client: Client
  readonly scope: RequestScope

  constructor(client: Client, scope: RequestScope) {
    super()
    this.client = client
    this.scope = scope
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

/** As a payload rather than past Fastify, so that onSend hooks run: @fastify/cookie sets its header in one. */
export function sendStream(client: Client, scope: RequestScope, request: FastifyRequest, reply: FastifyReply): void {
  const body = new StreamBody(client, scope)
  ;(request as Admitted)[BODY] = body
  reply.send(body)
}

/** The answer, if it is text, is to be compressed. */
export function zipAnswer(request: FastifyRequest): void {
  ;(request as Admitted)[ZIP] = true
}

/** The last of the onSend hooks, which takes the response over from Fastify by not passing it on. */
export function takeOver(hub: Hub, options: ResolvedOptions): onSendHookHandler {
  const { onConnect } = options
  return function takeOverStream(request, reply, payload, done) {
    const body = (request as Admitted)[BODY]
    if (body === undefined || typeof (payload as Partial<Readable> | null)?.pipe !== 'function') {
      // A page, the answer of another hook, or an error.
      if ((request as Admitted)[ZIP] && typeof payload === 'string') zip(payload, reply, done)
      else done(null, payload)
      return
    }
    // What a hook makes of the stream would never end; one that reads it, reads nothing.
    if (payload !== body || body.isRead) {
      hub.reject('failed')
      done(new StreamConsumedError())
      return
    }
    const { client, scope } = body
    if (client.gone) {
      reply.hijack()
      return
    }
    if (client.closed) {
      const answer = refusal(hub, 'closing', options, request, reply)
      if (answer instanceof Error) done(answer)
      else done(null, answer)
      return
    }
    reply.removeHeader('content-length')
    const headers = reply.getHeaders()
    try {
      checkHead(headers, reply)
    } catch (error) {
      hub.reject('failed')
      done(error as Error)
      return
    }
    reply.hijack()
    // Not before: an error in its place would be said to be compressed.
    if (client.compressed) headers['content-encoding'] = 'gzip'
    scope.keep()
    client.open(headers, () => {
      if (onConnect === undefined) client.start()
      else welcome(client, scope, request)
    })
  }

  async function welcome(client: Client, scope: RequestScope, request: FastifyRequest): Promise<void> {
    try {
      await onConnect!(client, request)
      // It may have asked for the signal.
      scope.keep()
      client.start()
    } catch (err) {
      scope.log.error({ err, ...nameOf(client) }, 'SSE: onConnect failed, and the client is disconnected')
      client.end('error', { retry: hub.clients.retryWithJitter() })
    }
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
