// The options of the plugin and their defaults. What each of them takes is checked in input/option-checks.ts.

import type { FastifyCorsOptions, FastifyCorsOptionsDelegate } from '@fastify/cors'
import type {
  FastifyRequest,
  FastifySchema,
  FastifyTypeProvider,
  FastifyTypeProviderDefault,
  RawRequestDefaultExpression,
  RawServerDefault,
  RouteGenericInterface,
  RouteShorthandOptions
} from 'fastify'
import type { Backplane } from '../backplane/backplane.js'
import type { EventSchema } from '../log/event-encoder.js'
import type { SseClient } from './api.js'
import type { DisconnectReason } from './errors.js'
import { checkOptions } from './input/option-checks.js'

/** Limits of the events that can be replayed. */
export interface HistoryOptions {
  /** Maximum number of events held, from 1. Default: 10,000. Past it the oldest are evicted. */
  events?: number | undefined
  /**
   * Maximum size of the encoded events held, bytes, from 1. Default: 16 MiB. Past it the oldest are evicted. It also
   * limits what slow clients can catch up on.
   */
  bytes?: number | undefined
}

/** Limits of all runs that a process holds, those of other processes included. */
export interface RunsOptions {
  /** Maximum number of runs, from 1. Default: 10,000. Past it `app.sse.run` throws RunsFullError. */
  max?: number | undefined
  /**
   * Maximum size of their encoded events, bytes, from 1. Default: 64 MiB. Past it `app.sse.run` throws RunsFullError,
   * and a run that grows fails.
   */
  bytes?: number | undefined
  /** Time without a message from another process after which its runs are lost, ms, from 100. Default: 15,000 ms. */
  silence?: number | undefined
}

/** Fastify's route options, without those that the plugin sets itself. */
export type SseRouteOptions = Omit<RouteShorthandOptions, 'exposeHeadRoute' | 'prefixTrailingSlash'>

/** What `authorizeTopics` returns: `true`, or the topics and patterns that are allowed; anything else allows none. */
export type TopicGrant = boolean | readonly string[] | null | undefined

/**
 * A callback with bivariant parameters, like those of a method. An app may declare a narrower type, for example a request
 * whose querystring `route.schema` checks.
 */
type Callback<Parameters extends unknown[], Result> = { call(...parameters: Parameters): Result }['call']

/** The request of a client, typed as that of a route: by generics, or by a schema and a type provider. */
export type SseRequest<
  Route extends RouteGenericInterface = RouteGenericInterface,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Schema extends FastifySchema = FastifySchema
> = FastifyRequest<Route, RawServerDefault, RawRequestDefaultExpression, Schema, TypeProvider>

/**
 * Options of the plugin. Invalid values and misspelt names make `register` fail with `PYLON_SSE_ERR_INVALID_OPTION`.
 * Names that resemble none of these are taken for options of other plugins and ignored; a line in the log lists them.
 *
 * The type parameters are those of a route, and type the request that callbacks get:
 * `PylonSseOptions<{ Querystring: { room: string } }>`, or, by the schema given as `route.schema`,
 * `PylonSseOptions<RouteGenericInterface, TypeBoxTypeProvider, typeof schema>`.
 */
export interface PylonSseOptions<
  Route extends RouteGenericInterface = RouteGenericInterface,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Schema extends FastifySchema = FastifySchema
> {
  /**
   * URL of the stream, under the prefix given to `register`; `false` for no route, for apps whose own routes answer
   * with `app.sse.stream`. Default: `'/events'`.
   */
  path?: string | false | undefined
  /** Name on the Fastify instance, so that an app can hold several hubs. Default: `'sse'`. */
  decorator?: string | undefined
  /** Number of groups of clients, each flushed in its own turn of the event loop, from 1 to 65,536. Default: 16. */
  shards?: number | undefined
  /**
   * Number of events that a connected client may fall behind, from 1. Default: 1024. Past it `overflow` applies.
   * Events that it had yet to read when its socket became full (a replay, a burst) do not count.
   */
  queueDepth?: number | undefined
  /**
   * What happens to a client that falls further behind than `queueDepth`. `'drop-oldest'` (default): the client loses
   * its oldest events, and a `resync` event tells it how many; `'disconnect'`: its connection is cut, and it may
   * resume.
   */
  overflow?: 'drop-oldest' | 'disconnect' | undefined
  /** Bounds of the events kept for replay; `false` keeps none. Default: `{ events: 10_000, bytes: 16 MiB }`. */
  history?: HistoryOptions | false | undefined
  /** Time after which a client that has received nothing gets a keepalive, ms; `0` for never. Default: 30,000 ms. */
  keepAliveInterval?: number | undefined
  /**
   * Form of keepalives. `'comment'` (default): a comment, which pages do not see, and an event `keepalive` only if it
   * brings a new last event id. `'event'`: always the event, so that a page with an EventSource can detect silence
   * itself.
   */
  keepAlive?: 'comment' | 'event' | undefined
  /** Reconnection time given to clients, ms. Default: none; browsers then take about 3,000 ms. */
  retry?: number | undefined
  /**
   * Number of streams that one address may have open, from 1; `false` for no limit. Default: 64. A request over it is
   * answered with 429, or as `overLimit` says. Counted by `request.ip`, IPv6 by /64, IPv4-mapped as IPv4; a unix socket
   * has no address and no limit.
   */
  maxClientsPerIp?: number | false | undefined
  /**
   * Returns what `maxClientsPerIp` counts by instead of the address, for example the id of a user. A request for which
   * it returns nothing is not limited. Default: the address.
   */
  limitBy?: Callback<[request: SseRequest<Route, TypeProvider, Schema>], string | undefined> | undefined
  /**
   * Number of streams that may be open on this process, from 1. Default: no limit. A request over it is answered with
   * 503, or as `overLimit` says.
   */
  maxClients?: number | undefined
  /**
   * How a request over a limit is answered, or one that arrives while the app closes. `'status'`:
   * 429 or 503, with `Retry-After`. `'retry'`: 200, a jittered `retry:`, and the end, since a browser's EventSource never
   * comes back after another status. Default: `'retry'` for requests whose `Accept` names `text/event-stream`, as
   * EventSource's does, and `'status'` for others.
   */
  overLimit?: 'status' | 'retry' | undefined
  /**
   * Time after which a stream is ended, ms, less a random part of up to 20 %; its client then resumes. `0` for never.
   * Default: never.
   */
  maxConnectionAge?: number | undefined
  /**
   * Decides which of the topics that a request asks for (`?topic=a&topic=b`) it may subscribe to: returns `true` for
   * all of them, or the topics and patterns that are allowed; anything else allows none. A request for which none is
   * allowed is answered with 403. If it throws, Fastify's error handler responds. Default: none, and every request for
   * topics is answered with 403.
   */
  authorizeTopics?:
    | Callback<[request: SseRequest<Route, TypeProvider, Schema>, topics: string[]], TopicGrant | Promise<TopicGrant>>
    | undefined
  /**
   * Number of topics and patterns that a client may be subscribed to, from 1. Default: 100. A request for more is
   * answered with 400.
   */
  maxTopics?: number | undefined
  /**
   * Maximum size of a topic in UTF-8, bytes, from 1. Default: 256. A request for a longer one is answered with 400, and
   * an event with a longer one is refused.
   */
  maxTopicBytes?: number | undefined
  /**
   * Adds `POST` on the same path, by which other services publish. An object of Fastify route options; put
   * authentication hooks here. Pages of other origins are refused, unless `cors` is set. Default: `false`, no such
   * route.
   */
  publish?: SseRouteOptions | false | undefined
  /** JSON schemas of named events, by which their data is serialised (fast-json-stringify). Default: none. */
  events?: Record<string, EventSchema> | undefined
  /**
   * Maximum size of an event's data, name and id together in UTF-8, bytes, from 1. A larger event is refused with
   * EventTooLargeError. Default: 1 MiB.
   */
  maxEventBytes?: number | undefined
  /**
   * Whether responses are compressed for clients that accept gzip. A part of the stream is compressed once for all of
   * them; a JSON page of 1,024 characters or more is compressed for each. Default: false.
   */
  compress?: boolean | undefined
  /** Time after which a client that takes no bytes is disconnected, ms; `0` for never. Default: 60,000 ms. */
  stallTimeout?: number | undefined
  /**
   * Options of `@fastify/cors` for this route alone, or its delegate; `false` leaves CORS to the app. Default: any
   * origin, `{ origin: '*' }`.
   */
  cors?: FastifyCorsOptions | FastifyCorsOptionsDelegate | false | undefined
  /**
   * An object of Fastify route options (`onRequest`, `preHandler`, `config`, `schema`, `logLevel`, …); put
   * authentication hooks here. Default: none.
   */
  route?: SseRouteOptions | undefined
  /**
   * Called once the response headers have been sent. What it sends with `client.send()` comes before everything that is
   * broadcast from then on, also while a promise that it returns is pending. If it throws or rejects, the error is
   * logged and the stream ended with a jittered `retry:`. Default: none.
   */
  onConnect?:
    | Callback<[client: SseClient, request: SseRequest<Route, TypeProvider, Schema>], void | Promise<void>>
    | undefined
  /** Called once after a client has disconnected. An error that it throws is logged. Default: none. */
  onDisconnect?: ((client: SseClient, reason: DisconnectReason) => void | Promise<void>) | undefined
  /**
   * Where the log is kept that several processes share: `redisStreams(…)`, `jetStream(…)`, `postgres(…)`, or a
   * backplane of your own. Default: none, the log is in this process's memory.
   */
  backplane?: Backplane | undefined
  /** Limits of all runs that this process holds (`app.sse.run`): see `RunsOptions`. */
  runs?: RunsOptions | undefined
  /** Serialises an event's data. Default: `JSON.stringify`. */
  serialize?: ((data: unknown) => string) | undefined
}

/** Options without a default. */
type Unset = 'retry' | 'limitBy' | 'overLimit' | 'authorizeTopics' | 'onConnect' | 'onDisconnect' | 'backplane'

/** Options that have another form once they are resolved. */
interface Converted {
  history: { events: number; bytes: number }
  maxClientsPerIp: number
  runs: { max: number; bytes: number; silence: number }
  /** Whether the option `cors` was given. */
  allowsOrigins: boolean
}

type Defaulted = Exclude<keyof PylonSseOptions, Unset | keyof Converted>

/** The options with their defaults. `Infinity` stands for no limit, and for never. */
export type ResolvedOptions = { [Name in Defaulted]: Exclude<PylonSseOptions[Name], undefined> } & {
  [Name in Unset]: PylonSseOptions[Name]
} & Converted

const RUNS = { max: 10_000, bytes: 64 * 1024 * 1024, silence: 15_000 }
const HISTORY = { events: 10_000, bytes: 16 * 1024 * 1024 }
/** Defaults of the options by which events are encoded. */
export const ENCODING = {
  serialize: JSON.stringify as (data: unknown) => string,
  maxEventBytes: 1024 * 1024,
  maxTopicBytes: 256,
  events: {} as Record<string, EventSchema>
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws InvalidOptionError that names the option, what it got and what it takes
 */
export function resolveOptions(options: PylonSseOptions): ResolvedOptions {
  checkOptions(options)
  const { history } = options
  return {
    path: options.path ?? '/events',
    decorator: options.decorator ?? 'sse',
    shards: options.shards ?? 16,
    queueDepth: options.queueDepth ?? 1024,
    overflow: options.overflow ?? 'drop-oldest',
    history: {
      events: history === false ? 0 : (history?.events ?? HISTORY.events),
      bytes: (history !== false && history?.bytes) || HISTORY.bytes
    },
    keepAliveInterval: orNever(options.keepAliveInterval ?? 30_000),
    keepAlive: options.keepAlive ?? 'comment',
    retry: options.retry,
    maxClientsPerIp: options.maxClientsPerIp === false ? Number.POSITIVE_INFINITY : (options.maxClientsPerIp ?? 64),
    maxEventBytes: options.maxEventBytes ?? ENCODING.maxEventBytes,
    limitBy: options.limitBy,
    maxClients: options.maxClients ?? Number.POSITIVE_INFINITY,
    overLimit: options.overLimit,
    maxConnectionAge: orNever(options.maxConnectionAge ?? 0),
    authorizeTopics: options.authorizeTopics,
    maxTopics: options.maxTopics ?? 100,
    maxTopicBytes: options.maxTopicBytes ?? ENCODING.maxTopicBytes,
    publish: options.publish ?? false,
    allowsOrigins: options.cors !== undefined,
    events: options.events ?? ENCODING.events,
    compress: options.compress ?? false,
    stallTimeout: orNever(options.stallTimeout ?? 60_000),
    cors: options.cors ?? { origin: '*' },
    route: options.route ?? {},
    onConnect: options.onConnect,
    onDisconnect: options.onDisconnect,
    serialize: options.serialize ?? ENCODING.serialize,
    backplane: options.backplane,
    runs: {
      max: options.runs?.max ?? RUNS.max,
      bytes: options.runs?.bytes ?? RUNS.bytes,
      silence: options.runs?.silence ?? RUNS.silence
    }
  }
}

/** 0 stands for never. */
function orNever(delay: number): number {
  return delay === 0 ? Number.POSITIVE_INFINITY : delay
}
