// How @fastify/swagger describes the plugin's routes. Nothing here validates requests.

import type { RouteShorthandOptions } from 'fastify'
import type { ResolvedOptions } from '../api/options.js'
import { MAX_REQUEST_EVENTS } from '../backplane/idempotency.js'
import type { EventSchema } from '../log/event-encoder.js'

type Json = Record<string, unknown>
type RouteConfig = NonNullable<RouteShorthandOptions['config']>

/** What @fastify/swagger passes to a route's `config.swaggerTransform`. Nobody else calls that. */
interface TransformInput {
  schema?: Json
  url: string
  /** The document so far; undefined for Swagger 2.0. */
  openapiObject?: { openapi: string }
}
type Transform = (input: TransformInput) => { schema?: Json; url: string }
/** Returns the parts of a route's schema that describe it, for a version of OpenAPI; undefined is Swagger 2.0. */
type Describe = (version: string | undefined) => Json

/**
 * Returns a route config by which @fastify/swagger describes the route. A schema would do more: Fastify validates and
 * coerces requests by it, and serialises responses. What the app's own schema says takes precedence.
 */
export function describedBy(describe: Describe, config: object = {}): RouteConfig {
  const own = (config as { swaggerTransform?: Transform | false }).swaggerTransform
  if (own === false) return config as RouteConfig
  const swaggerTransform: Transform = (input) => {
    const { schema = {}, ...rest } = own?.(input) ?? input
    return { ...rest, schema: merge(describe(input.openapiObject?.openapi), schema) }
  }
  return { ...config, swaggerTransform } as object as RouteConfig
}

/** Describes GET: the stream, and the page. */
export function describeStream(options: ResolvedOptions): Describe {
  const { authorizeTopics, maxTopics, maxClients, maxClientsPerIp } = options
  return (version) => ({
    summary: 'Event stream',
    description:
      'With `Accept: text/event-stream`, or none, a stream of Server-Sent Events that stays open. ' +
      'With `Accept: application/json` a page of the events that can be replayed.',
    querystring: {
      type: 'object',
      properties: {
        ...(authorizeTopics && {
          topic: {
            type: 'array',
            items: { type: 'string' },
            maxItems: maxTopics,
            description:
              'Topics to subscribe to, besides the events that have none. In patterns `*` stands for one segment between dots, ' +
              '`**` at the end for any number.'
          }
        }),
        lastEventId: {
          type: 'string',
          description: 'Stream: the id to resume after, where the client cannot send the header `Last-Event-ID`.'
        },
        since: {
          type: 'string',
          description: 'Page: the `cursor` of the page before. `0` or none: from the oldest event.'
        },
        limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100, description: 'Page: events at most.' },
        wait: {
          type: 'integer',
          minimum: 0,
          maximum: 60_000,
          default: 0,
          description: 'Page: how long to wait for the first event, ms.'
        }
      }
    },
    headers: {
      type: 'object',
      properties: {
        'Last-Event-ID': { type: 'string', description: 'Stream: the id to resume after. It wins over `lastEventId`.' }
      }
    },
    response: {
      200: describeEvents(options.events, version),
      204: { type: 'null', description: 'The server has asked this client to stay away.' },
      400: problem('A topic or a field of the query is invalid.', codes('INVALID_TOPIC', 'INVALID_QUERY')),
      403: problem('None of these topics is allowed.', codes('TOPIC_FORBIDDEN')),
      406: problem('`Accept` rules out both forms.', codes('NOT_ACCEPTABLE')),
      410: problem('Page: what follows `since` can no longer be replayed. Refetch the state.', ['RESYNC_REQUIRED'], {
        oldest: { type: 'string', description: 'The oldest cursor that can be paged on from.' }
      }),
      ...((maxClientsPerIp < Number.POSITIVE_INFINITY || options.limitBy) && {
        429: retryable('Too many streams are open for this client.', codes('TOO_MANY_CLIENTS'))
      }),
      503: retryable('The server is closing, or has as many streams open as it takes.', [
        ...codes('CLOSING'),
        ...(maxClients < Number.POSITIVE_INFINITY ? codes('SERVER_FULL') : [])
      ])
    }
  })
}

const EVENT = {
  type: 'object',
  required: ['data'],
  additionalProperties: false,
  properties: {
    data: {},
    event: { type: 'string' },
    topic: { type: 'string', minLength: 1 },
    id: { type: 'string', minLength: 1 }
  }
}

/** Describes POST. */
export function describePublish(): Json {
  return {
    summary: 'Publish events',
    description: 'Publishes one event, or an array of them: all or none. What a named event takes as data, GET shows.',
    body: { anyOf: [EVENT, { type: 'array', minItems: 1, maxItems: MAX_REQUEST_EVENTS, items: EVENT }] },
    headers: {
      type: 'object',
      properties: {
        'Idempotency-Key': {
          type: 'string',
          description: 'A request with a key that came before is answered as it was then, and publishes nothing.'
        }
      }
    },
    response: {
      202: {
        description: 'Published. The ids are in the order of the events.',
        type: 'object',
        properties: { ids: { type: 'array', items: { type: 'string' } } }
      },
      400: problem('The body is not an event, or an event cannot be sent.', codes('INVALID_EVENT', 'UNSERIALIZABLE')),
      403: problem('A page of another origin.', codes('CROSS_ORIGIN')),
      409: problem('An event with this id can still be replayed.', codes('DUPLICATE_ID')),
      413: problem('An event or the body is too large.', [...codes('EVENT_TOO_LARGE'), 'FST_ERR_CTP_BODY_TOO_LARGE']),
      415: problem('The body is not JSON.', codes('UNSUPPORTED_TYPE')),
      422: problem('The key came with other events before.', codes('IDEMPOTENCY_KEY_REUSED')),
      503: problem('The server is closing.', codes('CLOSED'))
    }
  }
}

const RESYNC = {
  type: 'object',
  required: ['reason', 'missed'],
  properties: {
    reason: { type: 'string', enum: ['overflow', 'expired', 'unknown', 'backplane'] },
    missed: { type: 'integer', nullable: true, description: 'Number of events missed; null if it is not known.' }
  }
}

function describeEvents(events: Readonly<Record<string, EventSchema>>, version: string | undefined): Json {
  const description = 'The events: as a stream, or as a page.'
  if (version === undefined) return { description, type: 'string' }
  const schemas = Object.entries(events).map(([name, schema]): [string, unknown] => [name, standAlone(schema)])
  const pageEvent = (required: string[], properties: Json, title: string) => ({
    title,
    type: 'object',
    required: ['id', ...required, 'data'],
    properties: { id: { type: 'string' }, event: { type: 'string' }, topic: { type: 'string' }, ...properties }
  })
  const other = pageEvent([], { data: { description: 'The data, or its text if that is not JSON.' } }, 'any event')
  const named = schemas.map(([name, data]) => pageEvent(['event'], { event: eventField(name), data }, name))
  const page = {
    type: 'object',
    required: ['events', 'cursor', 'hasMore'],
    properties: {
      events: { type: 'array', items: named.length === 0 ? other : { anyOf: [...named, other] } },
      cursor: { type: 'string', description: 'The `since` of the next request.' },
      hasMore: { type: 'boolean' }
    }
  }
  const told: [string, unknown][] = [...schemas, ['resync', RESYNC]]
  return {
    description,
    content: {
      'text/event-stream': { schema: { type: 'string' }, ...describeItems(told, version) },
      'application/json': { schema: page }
    }
  }
}

/** Describes the events of a stream, which OpenAPI has a field for since 3.2. */
function describeItems(schemas: [string, unknown][], version: string): Json {
  if (/^3\.[01]\b/.test(version)) return { 'x-events': Object.fromEntries(schemas) }
  return {
    itemSchema: {
      type: 'object',
      required: ['data'],
      properties: { id: { type: 'string' }, event: { type: 'string' }, data: { type: 'string' } },
      anyOf: [
        ...schemas.map(([name, contentSchema]) => ({
          title: name,
          required: ['event'],
          properties: {
            event: eventField(name),
            data: { type: 'string', contentMediaType: 'application/json', contentSchema }
          }
        })),
        { title: 'any event' }
      ]
    }
  }
}

function eventField(name: string): Json {
  return { type: 'string', enum: [name] }
}

function codes(...names: string[]): string[] {
  return names.map((name) => `PYLON_SSE_ERR_${name}`)
}

function problem(description: string, codes: string[], properties: Json = {}): Json {
  return {
    description,
    type: 'object',
    required: ['statusCode', 'code', 'error', 'message', ...Object.keys(properties)],
    properties: {
      statusCode: { type: 'integer' },
      code: { type: 'string', enum: codes },
      error: { type: 'string' },
      message: { type: 'string' },
      ...properties
    }
  }
}

function retryable(description: string, codes: string[]): Json {
  return {
    ...problem(description, codes),
    headers: { 'Retry-After': { type: 'integer', description: 'Seconds after which to try again.' } }
  }
}

/** Merges two schemas. The app's takes precedence; parameters and responses of both are listed. */
function merge(ours: Json, theirs: Json): Json {
  const merged: Json = { ...ours, ...theirs }
  for (const part of ['querystring', 'headers'] as const) {
    const [own, given] = [ours[part], theirs[part] ?? (part === 'querystring' ? theirs.query : undefined)] as [
      Json?,
      Json?
    ]
    // A reference, or a schema of another library, cannot be merged.
    if (given !== undefined && typeof given.properties !== 'object') merged[part] = given
    else if (own !== undefined) merged[part] = { ...own, ...given, properties: parameters(own, given) }
  }
  const [own, given] = [ours.response, theirs.response ?? {}] as [Json, Json]
  const response = { ...own, ...given }
  for (const status of Object.keys(given)) {
    const [before, after] = [own[status], given[status]] as [Json | undefined, Json]
    if (before !== undefined && after.description === undefined && after.$ref === undefined) {
      response[status] = { description: before.description, ...after }
    }
  }
  return { ...merged, response }
}

/** Merges parameters. Names of headers are case-insensitive. */
function parameters(own: Json, given: Json | undefined): Json {
  const theirs = (given?.properties ?? {}) as Json
  const names = new Set(Object.keys(theirs).map((name) => name.toLowerCase()))
  const ours = Object.entries(own.properties as Json).filter(([name]) => !names.has(name.toLowerCase()))
  return { ...Object.fromEntries(ours), ...theirs }
}

/**
 * Makes a schema self-contained: its references to itself are replaced by what they refer to, and by `{}`, which allows
 * anything, if they recur or lead out of the schema.
 */
function standAlone(schema: unknown, root = schema, above: readonly unknown[] = []): unknown {
  if (Array.isArray(schema)) return schema.map((item) => standAlone(item, root, above))
  if (typeof schema !== 'object' || schema === null) return schema
  const { $ref, $id: _id, $schema: _schema, definitions: _definitions, $defs: _defs, ...rest } = schema as Json
  if (typeof $ref === 'string') {
    const target = lookUp($ref, root as Json)
    return target === undefined || above.includes(target) ? {} : standAlone(target, root, [...above, target])
  }
  return Object.fromEntries(
    Object.entries(rest).map(([key, value]) => {
      if (key !== 'properties' && key !== 'patternProperties') return [key, standAlone(value, root, above)]
      // These names are the app's: a property that is called `definitions` is not the keyword.
      const named = Object.entries(value as Json).map(([name, one]) => [name, standAlone(one, root, above)])
      return [key, Object.fromEntries(named)]
    })
  )
}

function lookUp(ref: string, root: Json): unknown {
  const [base, pointer = ''] = ref.split('#')
  if (base !== '' && base !== root.$id) return undefined
  if (pointer !== '' && !pointer.startsWith('/')) return undefined
  const steps = pointer.split('/').slice(1)
  return steps.reduce<unknown>((at, step) => {
    return (at as Json | undefined)?.[decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')]
  }, root)
}
