// The options of `app.sse.stream`.

import type { FastifyRequest } from 'fastify'
import type { SseClient, SseClientState } from '../api/api.js'
import { InvalidOptionError } from '../api/errors.js'
import { callable, flag, object, onlyKnown, refuse } from '../api/input/checks.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Until } from '../hub/clients/until.js'
import type { PlainEvent } from '../log/plain-event.js'
import { checkSubscriptions, isTopic } from '../log/topic.js'

/** An event as `until` sees it. */
export interface StreamEvent extends PlainEvent {}

/** Options of `app.sse.stream`. Unknown ones are refused. */
export interface StreamOptions {
  /** The topics and patterns that the client is subscribed to; `authorizeTopics` is not called. Default: none. */
  topics?: readonly string[] | undefined
  /**
   * The topic of a run (`app.sse.run`). The stream consists of its events only, from the first one held, and ends after
   * the last. If there is no such run, or it is no longer held, the answer is 410. Only `state` and `onConnect` can be
   * set beside it. Default: none.
   */
  run?: string | undefined
  /** Whether the client also receives events without a topic. Default: true. */
  everyone?: boolean | undefined
  /**
   * Where the stream starts if the request has no last event id: `'now'`, with the next event; `'oldest'`, with the
   * oldest event held; or after the event with this id. Default: `'now'`.
   */
  from?: string | undefined
  /**
   * The last event of the stream, which ends properly after it: the first with this name, or the first for which a
   * function returns true. A request with the id of such an event is answered with 204, after which an EventSource does
   * not reconnect. The function is called for each event of each such stream while events are written, so it must only
   * look at the event. If it throws, the error is logged and the stream ended. Default: none, the stream does not end.
   */
  until?: string | ((event: StreamEvent) => boolean) | undefined
  /** The initial `client.state`. Default: `{}`. */
  state?: (keyof SseClientState extends never ? object : SseClientState) | undefined
  /** Like the plugin's option, for this stream. Default: the plugin's. */
  onConnect?: ((client: SseClient, request: FastifyRequest) => void | Promise<void>) | undefined
}

/** What a request is for, with the defaults: the options of `app.sse.stream`, or those of the plugin's own route. */
export interface ResolvedStreamOptions {
  readonly topics: ReadonlySet<string>
  /** The topic of a run, whose events are the only ones then. */
  readonly run: string | undefined
  /** Whether the client also receives events without a topic. */
  readonly everyone: boolean
  /** Where the stream starts if the request has no last event id: `'now'`, `'oldest'` or a cursor. */
  readonly from: string
  /** The last event of the stream, if it has one. */
  readonly until: Until | undefined
  readonly state: object | undefined
  readonly onConnect: ((client: SseClient, request: FastifyRequest) => void | Promise<void>) | undefined
}

const FIELDS = ['run', 'topics', 'everyone', 'from', 'until', 'state', 'onConnect']

/**
 * @throws InvalidOptionError that names the option, what it got and what it takes
 * @throws InvalidTopicError if a topic is invalid, or there are too many
 */
export function readStreamOptions(options: StreamOptions, defaults: ResolvedOptions): ResolvedStreamOptions {
  object('options', options)
  onlyKnown(options, FIELDS)
  const { run } = options
  if (run !== undefined) {
    if (!isTopic(run)) refuse('run', run, 'the topic of a run')
    for (const name of ['topics', 'everyone', 'from', 'until'] as const) {
      if (options[name] !== undefined) throw new InvalidOptionError(name, "cannot be set beside 'run'")
    }
  }
  const { topics = [], everyone = true, from = 'now', until, state, onConnect = defaults.onConnect } = options
  if (!Array.isArray(topics)) refuse('topics', topics, 'an array of topics and patterns')
  flag('everyone', everyone)
  if (typeof from !== 'string' || from === '') refuse('from', from, "'now', 'oldest' or the id of an event")
  if (until !== undefined && typeof until !== 'function' && (typeof until !== 'string' || until === ''))
    refuse('until', until, 'the name of an event or a function')
  if (state !== undefined && (typeof state !== 'object' || state === null)) refuse('state', state, 'an object')
  if (onConnect !== undefined) callable('onConnect', onConnect)
  const wanted = new Set<string>(topics)
  checkSubscriptions(wanted, defaults)
  return { run, topics: wanted, everyone, from, until: until as Until | undefined, state, onConnect }
}
