import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DuplicateIdError, EventTooLargeError, InvalidEventError, UnserializableError } from './errors.js'
import type { Hub } from './hub.js'
import type { SseRouteOptions } from './options.js'

interface PublishedEvent {
  data: unknown
  event?: string
  topic?: string
  id?: string
}

/** Events that one request may bring. */
const MAX_EVENTS = 1000
const FIELDS = ['data', 'event', 'topic', 'id']

const EVENT = {
  type: 'object',
  required: ['data'],
  // Other fields are refused by hand: Fastify's validator would drop them, and a misspelt topic would go to everyone.
  properties: {
    data: {},
    event: { type: 'string' },
    topic: { type: 'string', minLength: 1 },
    id: { type: 'string', minLength: 1 }
  }
}

const SCHEMA = {
  summary: 'Publish events',
  body: { anyOf: [EVENT, { type: 'array', minItems: 1, maxItems: MAX_EVENTS, items: EVENT }] },
  response: {
    202: { type: 'object', properties: { ids: { type: 'array', items: { type: 'string' } } } }
  }
}

/**
 * Adds `POST` on the path of the stream: an event or an array of them, of which all are published or none; 202 with
 * their ids. A request with an `Idempotency-Key` that came before is answered as it was then, and publishes nothing.
 */
export function addPublishRoute(scope: FastifyInstance, hub: Hub, url: string, route: SseRouteOptions): void {
  scope.route({
    ...route,
    method: 'POST',
    url,
    schema: { ...SCHEMA, ...route.schema },
    handler: async (request: FastifyRequest, reply: FastifyReply) => {
      const events = [request.body].flat() as PublishedEvent[]
      try {
        for (const event of events) checkFields(event)
        reply.code(202)
        return { ids: await hub.publishAll(events, identify(request, events)) }
      } catch (error) {
        throw asRequestError(error)
      }
    }
  })
}

/** What tells that a request is made again. */
function identify({ headers }: FastifyRequest, events: PublishedEvent[]): { key: string; digest: string } | undefined {
  const key = headers['idempotency-key']
  if (typeof key !== 'string') return undefined
  return { key, digest: createHash('sha256').update(JSON.stringify(events)).digest('base64') }
}

function checkFields(event: PublishedEvent): void {
  for (const field of Object.keys(event)) {
    if (!FIELDS.includes(field)) {
      throw new InvalidEventError(field, 'a value', `nothing: the fields are ${FIELDS.join(', ')}`)
    }
  }
}

/** What is a programmer's error in the app is the requester's here. */
function asRequestError(error: unknown): unknown {
  if (error instanceof InvalidEventError || error instanceof UnserializableError) error.statusCode = 400
  else if (error instanceof EventTooLargeError) error.statusCode = 413
  else if (error instanceof DuplicateIdError) error.statusCode = 409
  return error
}
