import fastJsonStringify from 'fast-json-stringify'
import { serializeData } from './encode.js'
import { InvalidOptionError } from './errors.js'

/** A JSON schema, as Fastify takes it. */
export type EventSchema = Record<string, unknown>

/** Data to text: by its event's schema, where it has one, else by the app's `serialize`. */
export class Serializer {
  readonly #serialize: (data: unknown) => string
  readonly #bySchema = new Map<string, (data: unknown) => string>()

  /** @throws InvalidOptionError that names the event whose schema cannot be compiled */
  constructor(serialize: (data: unknown) => string, schemas: Readonly<Record<string, EventSchema>>) {
    this.#serialize = serialize
    for (const [event, schema] of Object.entries(schemas)) {
      try {
        this.#bySchema.set(event, fastJsonStringify(schema as unknown as fastJsonStringify.Schema))
      } catch (cause) {
        const error = new InvalidOptionError(`events.${event}`, `a schema that fails (${cause})`, 'a JSON schema')
        error.cause = cause
        throw error
      }
    }
  }

  /** @throws UnserializableError when the data cannot be turned into text */
  serialize(data: unknown, event: string | undefined): string {
    const bySchema = event === undefined ? undefined : this.#bySchema.get(event)
    return serializeData(data, bySchema ?? this.#serialize)
  }
}
