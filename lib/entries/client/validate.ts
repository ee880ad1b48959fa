import { SseError } from './errors.js'
import type { DataSchema, SseEvent } from './event.js'

/** The event, with what its schema makes of its data. @throws SseError where it refuses them */
export async function validate(event: SseEvent, schema: DataSchema): Promise<SseEvent> {
  const { issues, ...result } = await schema['~standard'].validate(event.data)
  if (issues === undefined) return { ...event, data: (result as { value: unknown }).value }
  throw new SseError('invalid-data', `The data of the event '${event.event}' are not what its schema takes.`, {
    issues
  })
}
