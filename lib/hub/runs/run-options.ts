// The options of `app.sse.run`.

import { callable, MAX_DELAY, object, onlyKnown, refuse, whole } from '../../api/input/checks.js'
import { RUN_BOUNDS } from '../../backplane/run-message.js'
import { isTopic, TOPIC_TAKES } from '../../log/topic.js'

/** Options of `app.sse.run`. Unknown ones are refused. */
export interface RunOptions {
  /**
   * The topic of the run, on all processes. No other run may have it until this one has ended; a run that has ended is
   * replaced.
   */
  topic: string
  /** Event name of pieces that have none. Default: none, which browsers call `message`. */
  event?: string | undefined
  /**
   * Time that a run is held after its end, ms. Default: 300,000 (5 min). After that, requests for it are answered with
   * 410.
   */
  linger?: number | undefined
  /**
   * Time without a listener on any process after which the run is stopped, ms; `0` for never. Default: never. With a
   * backplane it is at least two thirds of `runs.silence`, 10 s by default: listeners on other processes are known later.
   */
  abandonAfter?: number | undefined
  /** Stops the run when it aborts. Default: none. */
  signal?: AbortSignal | undefined
  /**
   * Maximum number of events held, from 1. Default: 10,000. Past it the oldest are evicted; a listener that misses them
   * gets a `resync`.
   */
  maxEvents?: number | undefined
  /**
   * Maximum size of the encoded events held, bytes, from 1. Default: 1 MiB. Past it the oldest are evicted, as with
   * `maxEvents`.
   */
  maxBytes?: number | undefined
  /**
   * Returns what listeners are told of an error: the data of `failed` is then `{ reason: 'error', message }`. Default:
   * they are told nothing, and the data is `{ reason: 'error' }`, since an error may contain what they must not see.
   */
  describeError?: ((error: unknown) => string) | undefined
}

/** The options with their defaults. */
export interface ResolvedRunOptions {
  readonly topic: string
  readonly event: string | undefined
  readonly linger: number
  readonly abandonAfter: number
  readonly signal: AbortSignal | undefined
  readonly maxEvents: number
  readonly maxBytes: number
  readonly describeError: ((error: unknown) => string) | undefined
}

const FIELDS = ['topic', 'event', 'linger', 'abandonAfter', 'signal', 'maxEvents', 'maxBytes', 'describeError']

/** @throws InvalidOptionError that names the option, what it got and what it takes */
export function resolveRunOptions(options: RunOptions): ResolvedRunOptions {
  object('options', options)
  onlyKnown(options, FIELDS)
  const { topic, event, signal, describeError } = options
  const { linger = RUN_BOUNDS.linger, maxEvents = RUN_BOUNDS.maxEvents, maxBytes = RUN_BOUNDS.maxBytes } = options
  const { abandonAfter = 0 } = options
  if (!isTopic(topic)) refuse('topic', topic, TOPIC_TAKES)
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse('signal', signal, 'an AbortSignal')
  if (describeError !== undefined) callable('describeError', describeError)
  whole(0, MAX_DELAY)('linger', linger)
  whole(0, MAX_DELAY)('abandonAfter', abandonAfter)
  whole(1)('maxEvents', maxEvents)
  whole(1)('maxBytes', maxBytes)
  const never = abandonAfter === 0 ? Number.POSITIVE_INFINITY : abandonAfter
  return { topic, event, linger, abandonAfter: never, signal, maxEvents, maxBytes, describeError }
}
