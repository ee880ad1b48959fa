import type { FastifyInstance, RouteOptions } from 'fastify'
import type { ResolvedOptions } from '../api/options.js'
import type { Hub } from '../hub/hub.js'
import type { Connections } from '../wire/connections.js'
import { addCorsHook } from './cors.js'
import type { Entrance } from './entrance.js'
import { takeOver } from './hijack.js'
import { describedBy, describePublish, describeStream } from './openapi.js'
import { addPublishRoute } from './publish.js'

/** Those that a stream or a page is asked for with. */
const STREAM_METHODS = ['GET', 'HEAD']

/**
 * Adds the routes of the stream to a scope of their own, where the CORS hook comes before the hooks that the app adds
 * later: an app's authentication would otherwise refuse the preflight, which carries no credentials.
 */
export async function addRoutes(
  scope: FastifyInstance,
  hub: Hub,
  connections: Connections,
  entrance: Entrance,
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
    handler: (request, reply) => entrance.answer(request, reply)
  }
  // @fastify/compress would hold events back; an app that registers it globally does not mean streams.
  Object.assign(stream, { compress: false })
  // Ours comes last, for what the others set on the reply to arrive. An app's `onRoute` hooks may add `onSend` hooks,
  // too; they have run before this one, which is the scope's own.
  scope.addHook('onRoute', (added) => {
    if (STREAM_METHODS.includes(String(added.method))) added.onSend = [added.onSend ?? [], takeOver].flat()
  })
  scope.route({ ...stream, method: 'GET', config: describedBy(describeStream(options), config) })
  // Kept out of API descriptions, which would have every operation twice. An array, since for a mere 'HEAD' Fastify
  // leaves out the prefix itself where the path is '/'.
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
    // Of the constraints the host's alone: a preflight carries no other header.
    ...(host !== undefined && { constraints: { host } }),
    ...(route.logLevel && { logLevel: route.logLevel }),
    schema: { hide: true } as object,
    config: config as NonNullable<RouteOptions['config']>,
    // The hook answers, except where the policy says that there is no cross-origin access.
    handler: (_request, reply) => reply.callNotFound()
  })
}

/** Paths and hosts whose preflights are answered, by server. */
const preflights = new WeakMap<object, Set<string>>()

/**
 * Whether no other hub answers the preflights for this path and host: hubs that share both are told apart by other
 * constraints, a version say, which a preflight does not carry.
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

/** The whole path of a stream in a scope. Fastify's own answers for the prefix alone, too, where the path is '/'. */
export function pathIn(prefix: string, path: string): string {
  return path === '/' && prefix !== '' ? prefix : prefix + path
}
