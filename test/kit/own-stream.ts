// An app with a route that answers with a stream of its own.

import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { PylonSseOptions, StreamOptions } from '../../lib/index.js'
import { type ServeOptions, serve } from './server.js'

/** An app whose route `/stream`, of any method, answers with a stream. */
export async function serveStream(
  t: Test,
  options: StreamOptions = {},
  sse: PylonSseOptions = {},
  more: ServeOptions = {}
) {
  const setup = (app: FastifyInstance) => {
    app.route({
      method: ['GET', 'POST'],
      url: '/stream',
      handler: (request, reply) => app.sse.stream(request, reply, options)
    })
  }
  const s = await serve(t, { setup, sse, ...more })
  const open = (request: Parameters<typeof s.connect>[0] = {}) => s.connect({ path: '/stream', ...request })
  return { ...s, open }
}

export const dataOf = (events: { data: string }[]) => events.map(({ data }) => JSON.parse(data))
