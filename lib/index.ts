/**
 * The Fastify plugin: checks the options, wires hub and routes, and follows the app's lifecycle. What the hub does is
 * in hub/.
 *
 * @module pylon-sse
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RegisterOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { CloseOptions, EventOptions, PublishOptions, SendOptions, Sse } from './api/api.js'
import * as errors from './api/errors.js'
import { InvalidOptionError } from './api/errors.js'
import { foreignOptions } from './api/input/option-checks.js'
import { type PylonSseOptions, resolveOptions } from './api/options.js'
import type { Who } from './hub/clients/commands.js'
import { Hub } from './hub/hub.js'
import { hubs } from './hub/hubs.js'
import type { RunOptions } from './hub/runs/run-options.js'
import type { RunSource } from './hub/runs/source.js'
import { closingAnswer } from './routes/closing-answer.js'
import { RequestHandler } from './routes/request-handler.js'
import { addRoutes, pathIn } from './routes/routes.js'
import { secondaryServers } from './routes/secondary-servers.js'
import type { StreamOptions } from './routes/stream-options.js'
import { ConnectionDeadlines } from './wire/connection-deadlines.js'

export type * from './api/api.js'
export type * from './api/diagnostics.js'
export type { DisconnectReason, RejectReason, ResyncReason } from './api/errors.js'
export {
  BackplaneFullError,
  BackplaneRefusedError,
  BackplaneTimeoutError,
  BackplaneUnavailableError,
  ClosedError,
  ClosingError,
  CrossOriginError,
  DuplicateIdError,
  EventTooLargeError,
  HeadSentError,
  IdempotencyKeyReusedError,
  InjectError,
  InvalidEventError,
  InvalidOptionError,
  InvalidQueryError,
  InvalidSelectorError,
  InvalidTopicError,
  NotAcceptableError,
  ResyncRequiredError,
  RunGoneError,
  RunsFullError,
  ServerFullError,
  StreamConsumedError,
  StreamEndedError,
  TooManyClientsError,
  TopicForbiddenError,
  UnserializableError,
  UnsupportedTypeError
} from './api/errors.js'
export type {
  HistoryOptions,
  PylonSseOptions,
  RunsOptions,
  SseRequest,
  SseRouteOptions,
  TopicGrant
} from './api/options.js'
export type * from './backplane/backplane.js'
export type { RunMark } from './backplane/run-message.js'
export type { RunOptions } from './hub/runs/run-options.js'
export type { Run } from './hub/runs/runner.js'
export type { Pieces, RunSource } from './hub/runs/source.js'
export type { EventSchema } from './log/event-encoder.js'
export type { StreamEvent, StreamOptions } from './routes/stream-options.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** The event stream, under the default name of the option `decorator`. */
    sse: Sse
  }
}

async function plugin(app: FastifyInstance, options: PylonSseOptions & RegisterOptions): Promise<void> {
  const resolved = resolveOptions(options)
  const foreign = foreignOptions(options)
  if (foreign.length > 0)
    app.log.info(`SSE: these options are not the plugin's, and are ignored: ${foreign.join(', ')}`)
  if (app.hasDecorator(resolved.decorator)) {
    const taken = `is '${resolved.decorator}', which the app has already; to register the plugin again, set another one`
    throw new InvalidOptionError('decorator', `${taken}, and another 'path'`)
  }
  const hub = new Hub(resolved, app.log)
  const connections = new ConnectionDeadlines()
  connections.watch(app.server)
  app.addHook('onListen', async () => {
    for (const server of secondaryServers(app)) connections.watch(server)
  })
  const requests = new RequestHandler(hub, connections, resolved)
  const sse = publicSide(hub, requests)
  hub.diagnostics.sse = sse
  hubs.set(sse, hub)
  app.decorate(resolved.decorator, sse)
  app.addHook('onReady', async () => hub.start())
  app.addHook('preClose', async () => hub.beginClosing())
  // Fastify does not apply these options to a plugin without a scope of its own (fastify-plugin), so they are passed
  // on.
  const { prefix = '', logLevel, logSerializers } = options
  const scoped = { prefix, ...(logLevel && { logLevel }), ...(logSerializers && { logSerializers }) }
  await app.register(async (scope) => {
    const { path } = resolved
    if (path !== false) {
      const withPath = { ...resolved, path }
      await addRoutes(scope, hub, connections, requests, withPath).catch((error) => refuseTakenPath(error, path))
    }
    const ownPath = path === false ? undefined : pathIn(scope.prefix, path)
    const answer = closingAnswer(ownPath, requests.paths, hub, connections, resolved)
    app.addHook('preClose', async () => connections.answerFirst(answer))
    // In preClose, since the server waits for open streams once it stops listening. In the scope, since its hooks run
    // after those of the app, which may still broadcast.
    scope.addHook('preClose', async () => {
      const since = performance.now()
      await hub.close()
      await connections.close(since)
    })
  }, scoped)
}

/** Turns Fastify's error about a duplicate route into one that names the option `path`. */
function refuseTakenPath(error: Error & { code?: string }, path: string): never {
  if (error.code !== 'FST_ERR_DUPLICATED_ROUTE') throw error
  const taken = new InvalidOptionError('path', `is '${path}', where the app has a route already; set another one`)
  taken.cause = error
  throw taken
}

/** Returns the public part of a hub. Its methods may be detached from it. */
function publicSide(hub: Hub, requests: RequestHandler): Sse {
  return Object.freeze({
    broadcast: (data: unknown, options?: EventOptions) => hub.broadcaster.broadcast(data, options),
    broadcastMessage: (text: string, options?: EventOptions) => hub.broadcaster.broadcastText(text, options),
    publish: async (data: unknown, options?: PublishOptions) => hub.broadcaster.publish(data, options),
    disconnect: (who: Who, options?: CloseOptions) => hub.commands.disconnect(who, options),
    subscribe: (who: Who, topic: string) => hub.commands.subscribe(who, topic),
    unsubscribe: (who: Who, topic: string) => hub.commands.unsubscribe(who, topic),
    send: (who: Who, data: unknown, options?: SendOptions) => hub.commands.send(who, data, options),
    client: (id: string) => hub.clients.find(id),
    run: (source: RunSource, options: RunOptions) => hub.runner.run(source, options),
    stopRun: (topic: string) => hub.runner.stop(topic),
    stream: (request: FastifyRequest, reply: FastifyReply, options?: StreamOptions) =>
      requests.stream(request, reply, options),
    get clientCount() {
      return hub.clients.size
    },
    get clients() {
      return { [Symbol.iterator]: () => hub.clients[Symbol.iterator]() }
    },
    get ready() {
      return hub.ready
    },
    stats: () => hub.stats()
  }) as Sse
}

/**
 * A live event stream for the app: adds `GET /events` and `app.sse`.
 *
 * @example
 * await app.register(pylonSse)
 * app.sse.broadcast({ hello: 'everyone' })
 */
const pylonSse: FastifyPluginAsync<PylonSseOptions> = fp(plugin, { fastify: '5.x', name: 'pylon-sse' })

// require() returns the plugin itself, with the error classes as properties.
Object.assign(pylonSse, errors)

// The last name is what require() returns of an ES module.
export { pylonSse as default, pylonSse, pylonSse as 'module.exports' }
