// Requests for topics.

import type { SseClient } from '../../lib/index.js'
import type { StreamRequest } from './stream-request.js'

/** Asks for topics as a browser does: `?topic=a&topic=b`. */
export function asksFor(...topics: string[]): { path: string } {
  return {
    path: `/events?${new URLSearchParams(topics.map((topic): [string, string] => ['topic', topic]))}`
  } satisfies StreamRequest
}

/** The clients as the app has seen them come in, for `onConnect`. */
export class Arrivals {
  readonly all: SseClient[] = []
  readonly onConnect = (client: SseClient): void => {
    this.all.push(client)
  }

  /** The one that came last: once `connect` has the head, that is its own. */
  get last(): SseClient {
    return this.all.at(-1)!
  }
}
