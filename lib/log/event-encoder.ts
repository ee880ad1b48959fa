import fastJsonStringify from 'fast-json-stringify'
import type { EventOptions } from '../api/api.js'
import { InvalidEventError, InvalidOptionError } from '../api/errors.js'
import { encodeBody, encodeFrame, readEventOptions, serializeData, whyReserved } from './encode.js'
import type { Labels } from './log-entry.js'

/** A JSON schema, as Fastify takes it. */
export type EventSchema = Record<string, unknown>

/** An event that only needs its place in the log. All have one shape: code that gets them stays fast. */
export interface EncodedEvent extends Required<Labels> {
  readonly kind: 'event'
  readonly body: string
}

export interface EventEncoderOptions {
  serialize: (data: unknown) => string
  /** JSON schemas, by the name of the event. */
  events: Readonly<Record<string, EventSchema>>
  maxEventBytes: number
  maxTopicBytes: number
}

const DIRECT_FIELDS = ['event']

/** Checks events and encodes them, each once. It runs the app's code: `serialize`, and what data do to become JSON. */
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

  /** An event whose data is turned into text by its schema, where it has one, else by `serialize`. */
  encode(data: unknown, options: EventOptions = {}): EncodedEvent {
    const labels = this.#readLabels(options)
    return this.#encode(this.#serialize(data, labels.event), labels, false)
  }

  /** An event whose data is text already. */
  encodeText(text: string, options: EventOptions = {}): EncodedEvent {
    return this.#encode(text, this.#readLabels(options), true)
  }

  /** The frame of an event to one client, which has no id. */
  encodeDirect(data: unknown, options: { event?: string | undefined } = {}): Buffer {
    const { event } = readEventOptions(options, DIRECT_FIELDS)
    return encodeFrame(undefined, encodeBody(this.#serialize(data, event), { event }, this.#options.maxEventBytes))
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
    // fast-json-stringify would write `undefined`, which is no JSON.
    const bySchema = event === undefined || data === undefined ? undefined : this.#bySchema.get(event)
    return serializeData(data, bySchema ?? this.#options.serialize)
  }
}
