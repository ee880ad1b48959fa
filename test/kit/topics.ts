// Requests for topics, servers that allow them, and what clients hear of them.

import type { Test } from 'tap'
import type { PylonSseOptions, SseClient } from '../../lib/index.js'
import type { EventReader } from './event-reader.js'
import { type Served, type ServeOptions, serve } from './server.js'
import type { StreamRequest } from './stream-request.js'

/** The last event of those that `heard` reads. */
export const END = 'end'

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

export interface Open extends Served {
  arrivals: Arrivals
}

/** A server on which every topic may be asked for. */
export async function serveAll(
  t: Test,
  sse: PylonSseOptions = {},
  options: Omit<ServeOptions, 'sse'> = {}
): Promise<Open> {
  const arrivals = new Arrivals()
  const served = await serve(t, {
    ...options,
    sse: { authorizeTopics: () => true, maxClientsPerIp: false, onConnect: arrivals.onConnect, ...sse }
  })
  return { ...served, arrivals }
}

/** Options with which a client may hear the topics of the user whom it names in a header, and no others. */
export const byUser: PylonSseOptions = {
  authorizeTopics: ({ headers }) => [`user:${headers['x-user']}`, `user:${headers['x-user']}.**`]
}

/** What each client has been given once everything that was broadcast before now has come. */
export async function heard({ app }: Served, ...readers: EventReader[]): Promise<string[][]> {
  app.sse.broadcastMessage(END)
  for (const reader of readers) await reader.until(({ data }) => data === END)
  return readers.map(({ events }) => events.map(({ data }) => data).filter((data) => data !== END))
}

/** Broadcasts an event to each of these topics; its data is the topic's name, or `everyone`. */
export function tellEach({ app }: Served, topics: (string | undefined)[]): void {
  for (const topic of topics) app.sse.broadcastMessage(topic ?? 'everyone', { topic })
}
