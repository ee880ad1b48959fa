import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Hub, type Sse } from './hub.js'
import { type PylonSseOptions, resolveOptions } from './options.js'
import { addRoute } from './route.js'

export type { SseClient } from './client.js'
export type { EventOptions } from './encode.js'
export type { DisconnectReason, RejectReason, ResyncReason } from './errors.js'
export {
  ClosedError,
  ClosingError,
  DuplicateIdError,
  EventTooLargeError,
  InvalidEventError,
  InvalidOptionError,
  NotAcceptableError,
  StreamConsumedError,
  TooManyClientsError,
  UnserializableError
} from './errors.js'
export type { Sse } from './hub.js'
export type { HistoryOptions, PylonSseOptions, SseRouteOptions } from './options.js'
export type { SseStats } from './stats.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The event stream, under the default name of the option `decorator`. */
    sse: Sse
  }
}

async function plugin(app: FastifyInstance, options: PylonSseOptions & { prefix?: string }): Promise<void> {
  const resolved = resolveOptions(options)
  // fastify-plugin shares the app's scope, and so its hooks in whatever order they are added; a prefix is ours to apply.
  const prefix = options.prefix?.replace(/\/$/, '') ?? ''
  const hub = new Hub(resolved, app.log)
  app.decorate(resolved.decorator, hub)
  app.addHook('onReady', async () => hub.start())
  // Before the server stops listening: it waits for open streams.
  app.addHook('preClose', async () => hub.close())
  await addRoute(app, hub, { ...resolved, path: prefix + resolved.path })
}

/**
 * A live event stream for the app: adds `GET /events` and `app.sse`.
 *
 * @example
 * await app.register(pylonSse)
 * app.sse.broadcast({ hello: 'everyone' })
 */
const pylonSse: FastifyPluginAsync<PylonSseOptions> = fp(plugin, { fastify: '5.x', name: 'pylon-sse' })

// The last name is what require() returns of an ES module.
export { pylonSse as default, pylonSse, pylonSse as 'module.exports' }
