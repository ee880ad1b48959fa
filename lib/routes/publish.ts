// The publish route: `POST` on the path of the stream, by which other services publish events.

import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest, preParsingHookHandler } from 'fastify'
import {
  CrossOriginError,
  DuplicateIdError,
  EventTooLargeError,
  InvalidEventError,
  UnserializableError,
  UnsupportedTypeError
} from '../api/errors.js'
import { unknownName } from '../api/input/nearest-name.js'
import type { SseRouteOptions } from '../api/options.js'
import { MAX_KEY, MAX_REQUEST_EVENTS } from '../backplane/idempotency.js'
import type { Hub } from '../hub/hub.js'
import { serializeData } from '../log/encode.js'

interface PublishedEvent {
  data: unknown
  event?: string
  topic?: string
  id?: string
}

const FIELDS = ['data', 'event', 'topic', 'id']
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i

/**
 * Adds `POST` on the path of the stream. The body is an event or an array of events, of which all are published or
 * none; the response is 202 with their ids. A request with an `Idempotency-Key` that came before is answered as it was
 * then, and publishes nothing.
 *
 * @param allowsOrigins whether the app has set the option `cors`; otherwise pages of other origins are refused
 */
export function addPublishRoute(
  scope: FastifyInstance,
  hub: Hub,
  url: string,
  route: SseRouteOptions,
  allowsOrigins: boolean
): void {
  scope.route({
    ...route,
    method: 'POST',
    url,
    // After the hooks that authenticate, and before Fastify looks for a parser: it has none for forms.
    preParsing: [route.preParsing ?? [], refuseOtherTypes].flat(),
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      if (!allowsOrigins && isCrossOrigin(request)) throw new CrossOriginError()
      try {
        const events = readEvents(request.body)
        const ids = await hub.broadcaster.publishAll(events, identify(request, events))
        reply.code(202)
        return { ids }
      } catch (error) {
        throw asRequestError(error)
      }
    }
  })
}

/** Refuses forms, and whatever else a page may send without a preflight: none of these types is JSON. */
const refuseOtherTypes: preParsingHookHandler = (request, _reply, payload, done) => {
  if (JSON_TYPE.test(request.headers['content-type'] ?? '')) done(null, payload)
  else done(new UnsupportedTypeError())
}

/** Whether a page of another origin has sent the request: browsers say so by Fetch Metadata or `Origin`. */
export function isCrossOrigin({ headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  const { origin, host } = headers
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)
}

/**
 * Checks the body by hand: the app may replace Fastify's validator, which would also drop a misspelt `topic`, so that
 * everyone received the event.
 */
function readEvents(body: unknown): PublishedEvent[] {
  const events: unknown[] = Array.isArray(body) ? body : [body]
  if (events.length === 0 || events.length > MAX_REQUEST_EVENTS) {
    throw new InvalidEventError('body', `an array of ${events.length} events`, `1 to ${MAX_REQUEST_EVENTS}`)
  }
  for (const event of events) {
    if (typeof event !== 'object' || event === null || Array.isArray(event)) {
      throw new InvalidEventError(
        'body',
        'something else',
        'an event, { data, event?, topic?, id? }, or an array of them'
      )
    }
    if (!Object.hasOwn(event, 'data')) throw new InvalidEventError('data', 'is missing; it takes any value of JSON')
    for (const field of Object.keys(event)) {
      if (!FIELDS.includes(field)) {
        throw new InvalidEventError(field, unknownName(field, FIELDS))
      }
    }
  }
  return events as PublishedEvent[]
}

/** Returns what a repeated request is recognised by. */
function identify({ headers }: FastifyRequest, events: PublishedEvent[]): { key: string; digest: string } | undefined {
  const key = headers['idempotency-key']
  if (typeof key !== 'string' || key === '') return undefined
  if (key.length > MAX_KEY) {
    throw new InvalidEventError('idempotency-key', `${key.length} characters`, `${MAX_KEY} at most`)
  }
  // Serialised like data: JSON that the parser takes may be nested too deeply to be serialised again.
  return { key, digest: createHash('sha256').update(serializeData(events, JSON.stringify)).digest('base64') }
}

/** Sets the status of errors that are a fault of the app in `broadcast`, but of the client here. */
function asRequestError(error: unknown): unknown {
  if (error instanceof InvalidEventError || error instanceof UnserializableError) error.statusCode = 400
  else if (error instanceof EventTooLargeError) error.statusCode = 413
  else if (error instanceof DuplicateIdError) error.statusCode = 409
  return error
}
