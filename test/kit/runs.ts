// An app with runs, their listeners, and a source that the test drives.

import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { gate } from './deferred.js'
import { type ServeOptions, serve } from './server.js'
import type { SseClient } from './sse-client.js'

/** An app whose route `/runs/:topic` is the stream of a run. */
export async function serveRuns(t: Test, sse: PylonSseOptions = {}, more: ServeOptions = {}) {
  const setup = (app: FastifyInstance) => {
    app.get('/runs/:topic', (request, reply) =>
      app.sse.stream(request, reply, { run: (request.params as { topic: string }).topic })
    )
  }
  const s = await serve(t, { setup, sse: { authorizeTopics: () => true, ...sse }, ...more })
  const listen = (topic: string, lastEventId?: string) =>
    s.connect({ path: `/runs/${topic}`, ...(lastEventId !== undefined && { lastEventId }) })
  return { ...s, listen }
}

/** What a client has been told, as names and data. */
export const told = ({ events }: SseClient) => events.map(({ event, data }) => [event, JSON.parse(data)])

/** A generator that gives numbers when it is told to. */
export function steps(count: number) {
  const gates = Array.from({ length: count }, () => gate())
  const seen: string[] = []
  async function* source({ signal }: { signal: AbortSignal }) {
    try {
      for (const [i, { pass }] of gates.entries()) {
        await Promise.race([
          pass(),
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        ])
        yield i
      }
      return 'all'
    } finally {
      seen.push(signal.aborted ? 'aborted' : 'finally')
    }
  }
  return { source, gates, seen }
}
