// Encodes events for the log: checks their options and serialises their data. The format itself is in encode.ts.

import fastJsonStringify from 'fast-json-stringify'
import type { EventOptions } from '../api/api.js'
import { InvalidEventError, InvalidOptionError } from '../api/errors.js'
import { encodeBody, readEventOptions, serializeData, whyReserved } from './encode.js'
import type { Labels } from './log-entry.js'

/** A JSON schema, in the form that Fastify takes. */
export type EventSchema = Record<string, unknown>

/**
 * An event that is ready to be appended to the log. All objects have the same shape, which keeps code that takes them
 * fast.
 */
export interface EncodedEvent extends Required<Labels> {
  readonly kind: 'event'
  readonly body: string
}

export interface EventEncoderOptions {
  serialize: (data: unknown) => string
  /** JSON schemas by event name. */
  events: Readonly<Record<string, EventSchema>>
  maxEventBytes: number
  maxTopicBytes: number
}

const DIRECT_FIELDS = ['event']

/**
 * Checks and encodes events, each once. It runs code of the app: `serialize`, and the `toJSON` methods and getters of
 * data.
 */
export class EventEncoder {
  readonly #options: EventEncoderOptions
  readonly #bySchema = new Map<string, (data: unknown) => string>()

  /** @throws InvalidOptionError that names the event whose schema cannot be compiled, or whose name is reserved */
  constructor(options: EventEncoderOptions) {
    this.#options = options
    for (const [event, schema] of Object.entries(options.events)) {
      const reserved = whyReserved(event)
      if (reserved !== undefined) throw new InvalidOptionError(`events.${event}`, `cannot be set: ${reserved}`)
      try {
        this.#bySchema.set(event, fastJsonStringify(schema as unknown as fastJsonStringify.Schema))
      } catch (cause) {
        const error = new InvalidOptionError(`events.${event}`, `a schema that fails (${cause})`, 'a JSON schema')
        error.cause = cause
        throw error
      }
    }
  }

  /**
   * Encodes an event. Its data is serialised by the schema of the event if there is one, and by `serialize` otherwise.
   */
  encode(data: unknown, options: EventOptions = {}): EncodedEvent {
    const labels = this.#readLabels(options)
    return this.#encode(this.#serialize(data, labels.event), labels, false)
  }

  /** Encodes an event whose data is already text. */
  encodeText(text: string, options: EventOptions = {}): EncodedEvent {
    return this.#encode(text, this.#readLabels(options), true)
  }

  /** Encodes an event to a single client, as a frame without an id. */
  encodeDirect(data: unknown, options: { event?: string | undefined } = {}): string {
    const { event } = readEventOptions(options, DIRECT_FIELDS)
    return encodeBody(this.#serialize(data, event), { event }, this.#options.maxEventBytes)
  }

  #encode(text: string, labels: EventOptions, isText: boolean): EncodedEvent {
    const body = encodeBody(text, labels, this.#options.maxEventBytes)
    const { id, topic, except } = labels
    return { kind: 'event', body, id, topic, except, isText }
  }

  #readLabels(options: EventOptions): EventOptions {
    const labels = readEventOptions(options)
    const { maxTopicBytes } = this.#options
    const bytes = labels.topic === undefined ? 0 : Buffer.byteLength(labels.topic)
    if (bytes > maxTopicBytes) throw new InvalidEventError('topic', `${bytes} bytes`, `${maxTopicBytes} at most`)
    return labels
  }

  #serialize(data: unknown, event: string | undefined): string {
    // fast-json-stringify would write `undefined`, which is not JSON.
    const bySchema = event === undefined || data === undefined ? undefined : this.#bySchema.get(event)
    return serializeData(data, bySchema ?? this.#options.serialize)
  }
}
