import { callable, MAX_DELAY, object, onlyKnown, refuse, whole } from '../../api/input/checks.js'
import { RUN_BOUNDS } from '../../backplane/run-message.js'
import { isTopic, TOPIC_TAKES } from '../../log/topic.js'

/** Options of `app.sse.run`. Unknown ones are refused. */
export interface RunOptions {
  /**
   * The topic that the run is known by, on all processes. No other run may have it while this one is under way; one that has
   * ended makes room.
   */
  topic: string
  /** Name of the events of pieces that have none. Default: none. */
  event?: string | undefined
  /** How long it can be heard after its end, ms. Default: 300,000 (5 min). Then it is gone, and asking for it is answered with 410. */
  linger?: number | undefined
  /** A run that nobody has listened to for so many ms, on any process, is stopped; `0` for never. Default: never. */
  abandonAfter?: number | undefined
  /** Stops the run when it aborts. Default: none. */
  signal?: AbortSignal | undefined
  /** Events held at most, from 1. Default: 10,000. The oldest go first; who lacks them is told by `resync`. */
  maxEvents?: number | undefined
  /** Bytes of encoded events held at most, from 1. Default: 1 MiB. The oldest go first, as with `maxEvents`. */
  maxBytes?: number | undefined
  /**
   * What listeners are told of an error: the data of `failed` are `{ reason: 'error', message }`. Default: nothing, and the
   * data are `{ reason: 'error' }`, since an error may hold what is nobody's business.
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
