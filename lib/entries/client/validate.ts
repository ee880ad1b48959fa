// The check of an event's data by a schema. It is loaded by pages that have schemas, and is therefore a file of its own.

import { SseError } from './errors.js'
import type { DataSchema, SseEvent } from './event.js'

/** Returns the event with the output of the schema as data. @throws SseError if the schema refuses the data */
export async function validate(event: SseEvent, schema: DataSchema): Promise<SseEvent> {
  const { issues, ...result } = await schema['~standard'].validate(event.data)
  if (issues === undefined) return { ...event, data: (result as { value: unknown }).value }
  throw new SseError('invalid-data', `The data of the event '${event.event}' are not what its schema takes.`, {
    issues
  })
}
