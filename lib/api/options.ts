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

/** Bounds of what can be replayed. */
export interface HistoryOptions {
  /** Events held at most. Default: 10,000. The oldest go first. */
  events?: number | undefined
  /**
   * Bytes of encoded events held at most. Default: 16 MiB. The oldest go first. It bounds what slow clients can catch
   * up on, too.
   */
  bytes?: number | undefined
}

/** Bounds of all runs that a process holds. */
export interface RunsOptions {
  /** Runs, from 1. Default: 10,000. */
  max?: number | undefined
  /** Bytes of their encoded events, from 1. Default: 64 MiB. */
  bytes?: number | undefined
  /** Without a sign of life for so many ms the runs of another process are lost. From 100. Default: 15,000 ms. */
  silence?: number | undefined
}

/** Fastify's own options of the stream's route, but for those that make it this route. */
export type SseRouteOptions = Omit<RouteShorthandOptions, 'exposeHeadRoute' | 'prefixTrailingSlash'>

/** What `authorizeTopics` answers. */
export type TopicGrant = boolean | readonly string[] | null | undefined

/**
 * A callback whose parameters may be declared more narrowly than they are known here, as those of a method may: a request
 * whose querystring `route.schema` checks, say.
 */
type Callback<Parameters extends unknown[], Result> = { call(...parameters: Parameters): Result }['call']

/** The request of a client, typed as that of a route: by generics, or by a schema and a type provider. */
export type SseRequest<
  Route extends RouteGenericInterface = RouteGenericInterface,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Schema extends FastifySchema = FastifySchema
> = FastifyRequest<Route, RawServerDefault, RawRequestDefaultExpression, Schema, TypeProvider>

/**
 * Options of the plugin. Bad ones make `register` fail with `PYLON_SSE_ERR_INVALID_OPTION`, and so do misspelt names.
 * Names that are near none of these are taken for other plugins' options, and ignored: a line of the log says which.
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
   * URL of the stream, under the prefix given to `register`; `false` for none, where routes of the app answer by
   * `app.sse.stream`. Default: `'/events'`.
   */
  path?: string | false | undefined
  /** Name on the Fastify instance, so that an app can hold several hubs. Default: `'sse'`. */
  decorator?: string | undefined
  /** Groups of clients, each flushed in a turn of the event loop of its own. From 1 to 65,536. Default: 16. */
  shards?: number | undefined
  /**
   * Events that a connected client may fall behind, from 1. Default: 1024. Past it `overflow` applies. What it replays
   * after a reconnection does not count, nor does a burst that it is still reading.
   */
  queueDepth?: number | undefined
  /**
   * What happens to a client that falls further behind than `queueDepth`. `'drop-oldest'` (default): the client loses its oldest events, and is told so by a
   * `resync` event with the number; `'disconnect'`: its connection is cut, and it may resume.
   */
  overflow?: 'drop-oldest' | 'disconnect' | undefined
  /** Bounds of the events kept for replay; `false` keeps none. Default: `{ events: 10_000, bytes: 16 MiB }`. */
  history?: HistoryOptions | false | undefined
  /** A client that has received nothing for this long gets a keepalive; `0` for never. Default: 30,000 ms. */
  keepAliveInterval?: number | undefined
  /**
   * What a keepalive is. `'comment'` (default): a line that no page sees, and an event `keepalive` only where it brings a new
   * last event id. `'event'`: always the event, so that a page with an EventSource can watch for silence itself.
   */
  keepAlive?: 'comment' | 'event' | undefined
  /** Reconnection time given to clients, ms. Default: none; browsers then take about 3,000 ms. */
  retry?: number | undefined
  /**
   * Streams that one address may have open, from 1; `false` for no limit. Default: 64. Past it a request is answered
   * with 429. Counted by `request.ip`, IPv6 by /64, IPv4-mapped as IPv4; a unix socket has no address and no limit.
   */
  maxClientsPerIp?: number | false | undefined
  /**
   * What `maxClientsPerIp` counts by instead of the address: a user's id, say. A request for which it gives nothing is
   * not limited. Default: the address.
   */
  limitBy?: Callback<[request: SseRequest<Route, TypeProvider, Schema>], string | undefined> | undefined
  /** Streams open at once on this process, from 1. Default: no limit. Past it a request is answered with 503. */
  maxClients?: number | undefined
  /**
   * How a request over a limit is answered, or one that arrives while the app closes. `'status'`:
   * 429 or 503, with `Retry-After`. `'retry'`: 200, a jittered `retry:`, and the end, since a browser's EventSource never
   * comes back after another status. Default: `'retry'` for requests whose `Accept` names `text/event-stream`, as
   * EventSource's does, and `'status'` for others.
   */
  overLimit?: 'status' | 'retry' | undefined
  /** A stream is ended after this long, or up to 20 % earlier, and its client resumes; `0` for never. Default: never. */
  maxConnectionAge?: number | undefined
  /**
   * Which of the topics that a request asks for (`?topic=a&topic=b`) it may hear: `true` for all, or those it may, as
   * topics or patterns; anything else for none. A client that may hear none of them gets 403. If it throws,
   * Fastify's error handler responds. Default: none may be asked for.
   */
  authorizeTopics?:
    | Callback<[request: SseRequest<Route, TypeProvider, Schema>, topics: string[]], TopicGrant | Promise<TopicGrant>>
    | undefined
  /** Topics and patterns that a client may be subscribed to, from 1. Default: 100. Past it 400. */
  maxTopics?: number | undefined
  /** Bytes of UTF-8 that a topic may have, from 1. Default: 256. Past it 400. */
  maxTopicBytes?: number | undefined
  /**
   * Adds `POST` on the same path, for other services to publish by; its value is an object of Fastify route options; put
   * authentication hooks here. Pages of other origins are refused, unless `cors` is given. Default: `false`, no such route.
   */
  publish?: SseRouteOptions | false | undefined
  /** JSON schemas of named events, by which their data is serialised (fast-json-stringify). Default: none. */
  events?: Record<string, EventSchema> | undefined
  /** Bytes of UTF-8 that an event's data, name and id may have, from 1. A larger one is refused. Default: 1 MiB. */
  maxEventBytes?: number | undefined
  /**
   * Whether clients that accept gzip get it. A part of the stream is compressed once, for all of them, a JSON page from
   * 1,024 characters on for each. Default: false.
   */
  compress?: boolean | undefined
  /** A client that takes no bytes for this long is disconnected; `0` for never. Default: 60,000 ms. */
  stallTimeout?: number | undefined
  /**
   * Options of `@fastify/cors` for this route alone, or its delegate; `false` leaves CORS to the app. Default: any
   * origin, `{ origin: '*' }`.
   */
  cors?: FastifyCorsOptions | FastifyCorsOptionsDelegate | false | undefined
  /** Fastify's route options (`onRequest`, `preHandler`, `config`, `schema`, `logLevel`, …). Default: none. */
  route?: SseRouteOptions | undefined
  /**
   * Called once the response headers have been sent. What it sends with `client.send()` comes before whatever is broadcast from then
   * on, also while a promise it returns is pending. When it throws, the error is logged and the stream ended, with a
   * jittered `retry:`. Default: none.
   */
  onConnect?:
    | Callback<[client: SseClient, request: SseRequest<Route, TypeProvider, Schema>], void | Promise<void>>
    | undefined
  /** Called once after a client has disconnected. An error that it throws is logged. Default: none. */
  onDisconnect?: ((client: SseClient, reason: DisconnectReason) => void | Promise<void>) | undefined
  /**
   * Where the log lives that several processes share: `redisStreams(…)`, `jetStream(…)`, or one's own. Default: this
   * process's memory.
   */
  backplane?: Backplane | undefined
  /**
   * Bounds of all runs that this process holds (`app.sse.run`), those of other processes included: `max` runs (default 10,000)
   * and `bytes` of their events (default 64 MiB), past which `run` throws RunsFullError, and a run that grows fails; `silence`,
   * ms without a sign of life after which runs of another process are lost (default 15,000).
   */
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

/** The options with their defaults. A limit or delay that there is none of is `Infinity`. */
export type ResolvedOptions = { [Name in Defaulted]: Exclude<PylonSseOptions[Name], undefined> } & {
  [Name in Unset]: PylonSseOptions[Name]
} & Converted

const RUNS = { max: 10_000, bytes: 64 * 1024 * 1024, silence: 15_000 }
const HISTORY = { events: 10_000, bytes: 16 * 1024 * 1024 }
/** How events become text, and how large they may be. */
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
