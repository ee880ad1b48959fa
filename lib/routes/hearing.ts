import type { FastifyRequest } from 'fastify'
import type { SseClient } from '../api/api.js'
import type { Until } from '../hub/clients/last-event.js'

/** What a request is to hear, and how, once it is let in. */
export interface Hearing {
  readonly topics: ReadonlySet<string>
  /** The topic of the run that it hears, and nothing else. */
  readonly run: string | undefined
  /** Whether it hears what has no topic, too. */
  readonly everyone: boolean
  /** Where it begins if it shows no last event id: `'now'`, `'oldest'` or a cursor. */
  readonly from: string
  /** After which event its stream ends, if after any. */
  readonly until: Until | undefined
  readonly state: object | undefined
  readonly onConnect: ((client: SseClient, request: FastifyRequest) => void | Promise<void>) | undefined
}
