// Registers the routes of the plugin. What they do is in request-handler.ts (GET, HEAD), publish.ts (POST) and cors.ts
// (OPTIONS).

import type { FastifyInstance, RouteOptions } from 'fastify'
import type { ResolvedOptions } from '../api/options.js'
import type { Hub } from '../hub/hub.js'
import type { ConnectionDeadlines } from '../wire/connection-deadlines.js'
import { addCorsHook } from './cors.js'
import { takeOver } from './hijack.js'
import { describedBy, describePublish, describeStream } from './openapi.js'
import { addPublishRoute } from './publish.js'
import type { RequestHandler } from './request-handler.js'

/** The methods of requests for a stream or a page. */
const STREAM_METHODS = ['GET', 'HEAD']

/**
 * Adds the routes to a scope of their own, where the CORS hook comes before hooks that the app adds later: otherwise
 * the app's authentication would refuse preflights, which carry no credentials.
 */
export async function addRoutes(
  scope: FastifyInstance,
  hub: Hub,
  connections: ConnectionDeadlines,
  requests: RequestHandler,
  options: ResolvedOptions & { path: string }
): Promise<void> {
  const { path: url, route, cors, publish } = options
  scope.addHook('onRequest', (request, reply, done) => {
    connections.carry(request.raw, reply.raw)
    done()
  })
  const config = { ...route.config, ...(cors !== false && (await addCorsHook(scope, cors))) }
  const stream: Omit<RouteOptions, 'method'> = {
    ...route,
    config: config as NonNullable<RouteOptions['config']>,
    url,
    exposeHeadRoute: false,
    handler: (request, reply) => requests.answer(request, reply)
  }
  // @fastify/compress would hold events back. An app that registers it globally does not mean it for streams.
  Object.assign(stream, { compress: false })
  // The plugin's onSend hook comes last, so that what the others set on the reply is sent. `onRoute` hooks of the app
  // may add onSend hooks, too; they run before this one of the scope.
  scope.addHook('onRoute', (added) => {
    if (STREAM_METHODS.includes(String(added.method))) added.onSend = [added.onSend ?? [], takeOver].flat()
  })
  scope.route({ ...stream, method: 'GET', config: describedBy(describeStream(options), config) })
  // Hidden from API descriptions, which would list every operation twice. An array, since for a mere 'HEAD' Fastify
  // leaves out the prefix itself if the path is '/'.
  scope.route({ ...stream, method: ['HEAD'], schema: { ...route.schema, hide: true } as object })
  if (publish !== false) {
    const described = { ...publish, config: describedBy(describePublish, publish.config) }
    addPublishRoute(scope, hub, url, described, options.allowsOrigins)
  }
  if (cors === false || !isFirstPreflight(scope, options)) return
  const { host } = (route.constraints ?? {}) as { host?: string | RegExp }
  scope.route({
    method: 'OPTIONS',
    url,
    // Of the constraints only the host: a preflight carries no other header.
    ...(host !== undefined && { constraints: { host } }),
    ...(route.logLevel && { logLevel: route.logLevel }),
    schema: { hide: true } as object,
    config: config as NonNullable<RouteOptions['config']>,
    // The CORS hook answers, unless the policy allows no cross-origin access.
    handler: (_request, reply) => reply.callNotFound()
  })
}

/** Paths and hosts whose preflights are answered, by server. */
const preflights = new WeakMap<object, Set<string>>()

/**
 * Whether no other hub answers preflights for this path and host. Hubs that share both differ in other constraints,
 * such as a version, which a preflight does not carry.
 */
function isFirstPreflight(
  { server, prefix }: FastifyInstance,
  { path, route }: ResolvedOptions & { path: string }
): boolean {
  const { host } = (route.constraints ?? {}) as { host?: string | RegExp }
  const key = `${pathIn(prefix, path)} ${host ?? ''}`
  const answered = preflights.get(server) ?? new Set()
  preflights.set(server, answered)
  if (answered.has(key)) return false
  answered.add(key)
  return true
}

/** The whole path of a stream in a scope. For the path '/' Fastify also answers on the prefix alone. */
export function pathIn(prefix: string, path: string): string {
  return path === '/' && prefix !== '' ? prefix : prefix + path
}
