// The errors that an app can get, and the reasons in stats, resyncs and disconnects. Those of `pylon-sse/client` and
// `pylon-sse/testing` are in their entries.

import { createError, type FastifyErrorConstructor } from '@fastify/error'
import { endSentence } from './input/error-text.js'

type ErrorClass<Args extends unknown[] = []> = FastifyErrorConstructor<{ code: string }, Args>

/**
 * Creates a class of errors about a named option or field, whose message says what it got and what it takes. Without
 * `takes`, `got` is the rest of the sentence, such as 'cannot be set'.
 */
function fieldErrors(code: string, subject: string): ErrorClass<[name: string, got: string, takes?: string]> {
  const Sentence = createError<[string]>(code, '%s', 500, TypeError)
  class FieldError extends Sentence {
    constructor(name: string, got: string, takes?: string) {
      super(endSentence(`${subject} '${name}' ${takes === undefined ? got : `got ${got}; it takes ${takes}`}`))
    }
  }
  return FieldError as unknown as ErrorClass<[string, string, string?]>
}

/** An option with an invalid value. The message names the option, what it got and what it takes. */
export const InvalidOptionError: ErrorClass<[name: string, got: string, takes?: string]> = fieldErrors(
  'PYLON_SSE_ERR_INVALID_OPTION',
  'Option'
)

/** A field of an event (`event`, `id`, the text, or a field that does not exist) that cannot be sent. */
export const InvalidEventError: ErrorClass<[name: string, got: string, takes?: string]> = fieldErrors(
  'PYLON_SSE_ERR_INVALID_EVENT',
  'Event field'
)

/** A selector of clients without a field, or with a value that cannot be compared. */
export const InvalidSelectorError: ErrorClass<[name: string, got: string, takes?: string]> = fieldErrors(
  'PYLON_SSE_ERR_INVALID_SELECTOR',
  'Selector field'
)

/** Data that `serialize` could not turn into text; `cause` holds what it threw. */
export const UnserializableError: ErrorClass<[string]> = createError(
  'PYLON_SSE_ERR_UNSERIALIZABLE',
  'The data of an event cannot be serialized: %s',
  500,
  TypeError
)

/** An event larger than `maxEventBytes`. */
export const EventTooLargeError: ErrorClass<[number, number]> = createError(
  'PYLON_SSE_ERR_EVENT_TOO_LARGE',
  'The event has %d bytes; maxEventBytes allows %d.',
  500,
  RangeError
)

/** An `id` that another event in the log has: a client that sends it could not be resumed unambiguously. */
export const DuplicateIdError: ErrorClass<[string]> = createError(
  'PYLON_SSE_ERR_DUPLICATE_ID',
  "The log already holds an event with the id '%s'; each event needs an id of its own.",
  500
)

/** `publish` after `app.close()`. */
export const ClosedError: ErrorClass = createError(
  'PYLON_SSE_ERR_CLOSED',
  'The app has closed; no event can be published any more.',
  503
)

/**
 * The engine of the backplane cannot be reached, or cannot be used. The message names it and says why; `cause` holds
 * the driver's error.
 */
export const BackplaneUnavailableError: ErrorClass<[string, string]> = createError(
  'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE',
  'The backplane %s cannot be used: %s',
  503
)

/** The engine was reached, but has refused an event: it is out of memory, read-only, or its key has another type. */
export const BackplaneRefusedError: ErrorClass<[string, string]> = createError(
  'PYLON_SSE_ERR_BACKPLANE_REFUSED',
  'The backplane %s has refused an event: %s',
  503
)

/** More events wait for the engine than `maxPending` or `maxPendingBytes` allow. */
export const BackplaneFullError: ErrorClass<[number]> = createError(
  'PYLON_SSE_ERR_BACKPLANE_FULL',
  'The backplane takes no events for now, and %d wait for it already, which is as many as maxPending or maxPendingBytes allow.',
  503
)

/** An event waited for the engine longer than `publishTimeout`. It may arrive all the same. */
export const BackplaneTimeoutError: ErrorClass<[number]> = createError(
  'PYLON_SSE_ERR_BACKPLANE_TIMEOUT',
  'The backplane has not acknowledged an event within %d ms (publishTimeout); it may arrive all the same.',
  503
)

/** A request that arrives while the app closes. */
export const ClosingError: ErrorClass = createError(
  'PYLON_SSE_ERR_CLOSING',
  'The server is closing; try again later.',
  503
)

/** A request whose `Accept` rules out every form in which the events are served. */
export const NotAcceptableError: ErrorClass = createError(
  'PYLON_SSE_ERR_NOT_ACCEPTABLE',
  'This resource is served as text/event-stream or application/json; the Accept header of the request allows neither.',
  406
)

/** A request over `maxClientsPerIp`. */
export const TooManyClientsError: ErrorClass<[number]> = createError(
  'PYLON_SSE_ERR_TOO_MANY_CLIENTS',
  'You already have %d event streams open, as many as you may have.',
  429
)

/** A topic that is invalid, or more topics than `maxTopics`. */
export const InvalidTopicError: ErrorClass<[string, string]> = createError(
  'PYLON_SSE_ERR_INVALID_TOPIC',
  'A client cannot subscribe to %s; a subscription takes %s.',
  400
)

/** A request for topics of which it may have none. */
export const TopicForbiddenError: ErrorClass = createError(
  'PYLON_SSE_ERR_TOPIC_FORBIDDEN',
  'You may not subscribe to any of these topics.',
  403
)

/** A request over `maxClients`. */
export const ServerFullError: ErrorClass = createError(
  'PYLON_SSE_ERR_SERVER_FULL',
  'The server has as many event streams open as it takes; try again later.',
  503
)

/** More runs, or bytes of them, than `runs.max` and `runs.bytes` allow, or the app closes. */
export const RunsFullError: ErrorClass<[number]> = createError(
  'PYLON_SSE_ERR_RUNS_FULL',
  'There is no room for a run or its events beside the %d runs that are held: see the option runs.',
  503
)

/** A request for a run that does not exist, or ended longer ago than `linger`. */
export const RunGoneError: ErrorClass = createError(
  'PYLON_SSE_ERR_RUN_GONE',
  'There is no such run, or it has ended and is held no more.',
  410
)

/** A `since` that the log can no longer continue from. `oldest` in the response is the oldest cursor that it can. */
export const ResyncRequiredError: ErrorClass = createError(
  'RESYNC_REQUIRED',
  'The log no longer holds what follows this cursor; refetch your state and go on from the newest.',
  410
)

/** An invalid field in the query of a JSON page. */
export const InvalidQueryError: ErrorClass<[string, string]> = createError(
  'PYLON_SSE_ERR_INVALID_QUERY',
  "The query field '%s' takes %s.",
  400
)

/** An idempotency key that was used with other events before. */
export const IdempotencyKeyReusedError: ErrorClass = createError(
  'PYLON_SSE_ERR_IDEMPOTENCY_KEY_REUSED',
  'This idempotency key came with other events before.',
  422
)

/** A page of another origin tried to publish, and the option `cors` is not set. */
export const CrossOriginError: ErrorClass = createError(
  'PYLON_SSE_ERR_CROSS_ORIGIN',
  'Pages of other origins may not publish here.',
  403
)

/** A request to publish whose body is not JSON. */
export const UnsupportedTypeError: ErrorClass = createError(
  'PYLON_SSE_ERR_UNSUPPORTED_TYPE',
  'Events are published as application/json.',
  415
)

/** A hook has written to the raw response, which the stream needs. */
export const HeadSentError: ErrorClass = createError(
  'PYLON_SSE_ERR_HEAD_SENT',
  'A hook has sent a head by reply.raw, so the event stream cannot begin; set headers by reply.header instead.',
  500
)

/** The stream was requested with `app.inject`, which would wait for its end. */
export const InjectError: ErrorClass = createError(
  'PYLON_SSE_ERR_INJECT',
  'app.inject() would wait for the end of this event stream, which has none; ask for it as a stream, ' +
    'app.inject({ url, payloadAsStream: true }), and read response.stream().',
  500
)

/** An `onSend` hook consumed the stream instead of passing it on. */
export const StreamConsumedError: ErrorClass = createError(
  'PYLON_SSE_ERR_STREAM_CONSUMED',
  'An onSend hook has replaced or read the event stream; it must pass the payload of this route on as it is.',
  500
)

const StreamEndedSentence: ErrorClass<[string]> = createError(
  'PYLON_SSE_ERR_STREAM_ENDED',
  'The stream of this client has ended: %s.'
)

/** The reason of `client.signal`. It has the name of the default reason of an AbortSignal (WHATWG DOM, 3.2). */
export class StreamEndedError extends StreamEndedSentence {
  override readonly name = 'AbortError'
  /** Why the stream ended, as passed to `onDisconnect`. */
  readonly reason: DisconnectReason

  constructor(reason: DisconnectReason) {
    super(reason)
    this.reason = reason
  }
}

/**
 * Why a client's stream ended:
 *
 * - `disconnected`: the client closed the connection, or it was lost;
 * - `closed`: the app called `client.close()`;
 * - `completed`: it has received the event after which its stream ends (`until`);
 * - `shutdown`: the app is closing;
 * - `overflow`: it fell more than `queueDepth` events behind, and `overflow` is `'disconnect'`;
 * - `stalled`: it took no bytes for `stallTimeout`;
 * - `expired`: its `expiresAt` has passed;
 * - `aged`: it was connected for `maxConnectionAge`;
 * - `error`: `onConnect` or `until` threw, or writing to the response did, since another plugin has replaced a part
 *   of it.
 */
export type DisconnectReason =
  | 'disconnected'
  | 'closed'
  | 'completed'
  | 'shutdown'
  | 'overflow'
  | 'stalled'
  | 'expired'
  | 'aged'
  | 'error'

/**
 * Why a client was told to refetch its state:
 *
 * - `overflow`: it read too slowly, and its oldest events were dropped;
 * - `expired`: it resumed, and the log no longer holds all events that it missed;
 * - `unknown`: it resumed from an id that this log has not assigned, for example one from before a restart;
 * - `backplane`: the process itself missed events of other processes.
 */
export type ResyncReason = 'overflow' | 'expired' | 'unknown' | 'backplane'

/**
 * Why a request did not become a client:
 *
 * - `notAcceptable`: its `Accept` rules out every form of the events (406);
 * - `invalidTopic`: it asked for an invalid topic, or for too many (400);
 * - `forbiddenTopic`: it may have none of the topics it asked for (403);
 * - `tooManyClients`: it was over `maxClientsPerIp` (429);
 * - `serverFull`: it was over `maxClients` (503);
 * - `closing`: the app is closing (503);
 * - `failed`: its response headers could not be written, because of what hooks or other plugins have done to the
 *   response (500).
 */
export type RejectReason =
  | 'notAcceptable'
  | 'invalidTopic'
  | 'forbiddenTopic'
  | 'tooManyClients'
  | 'serverFull'
  | 'closing'
  | 'failed'
