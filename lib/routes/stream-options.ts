import type { FastifyRequest } from 'fastify'
import type { SseClient, SseClientState } from '../api/api.js'
import { InvalidOptionError } from '../api/errors.js'
import { callable, flag, object, onlyKnown, refuse } from '../api/input/checks.js'
import type { ResolvedOptions } from '../api/options.js'
import type { Until } from '../hub/clients/last-event.js'
import type { PlainEvent } from '../log/plain-event.js'
import { checkSubscriptions, isTopic } from '../log/topic.js'
import type { Hearing } from './hearing.js'

/** An event as `until` sees it. */
export interface StreamEvent extends PlainEvent {}

/** Options of `app.sse.stream`. Unknown ones are refused. */
export interface StreamOptions {
  /** The topics and patterns that it hears, as the app decides; nobody else is asked. Default: none. */
  topics?: readonly string[] | undefined
  /**
   * The topic of a run (`app.sse.run`): the stream is of its events alone, from the first that is held, and ends after its last.
   * Where there is none, or none any more, the answer is 410. With it goes no other option but `state` and `onConnect`.
   */
  run?: string | undefined
  /** Whether it hears what has no topic, too. Default: true. */
  everyone?: boolean | undefined
  /**
   * Where it begins if the request shows no last event id: `'now'`, with what comes next; `'oldest'`, with the oldest event
   * held; or after the event with this id. Default: `'now'`.
   */
  from?: string | undefined
  /**
   * After which event the stream ends, properly: the first of this name, or the first for which a function says so. A request
   * that shows the id of such an event is answered with 204, after which an EventSource does not come back. The function is
   * called for each event of each such stream, while events are written: it only looks. What it throws ends the stream, and
   * is logged. Default: never.
   */
  until?: string | ((event: StreamEvent) => boolean) | undefined
  /** What `client.state` is at first. Default: `{}`. */
  state?: (keyof SseClientState extends never ? object : SseClientState) | undefined
  /** As the plugin's option, for this stream. Default: the plugin's. */
  onConnect?: ((client: SseClient, request: FastifyRequest) => void | Promise<void>) | undefined
}

const FIELDS = ['run', 'topics', 'everyone', 'from', 'until', 'state', 'onConnect']

/**
 * @throws InvalidOptionError that names the option, what it got and what it takes
 * @throws InvalidTopicError where a topic is none, or they are too many
 */
export function readStreamOptions(options: StreamOptions, defaults: ResolvedOptions): Hearing {
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
