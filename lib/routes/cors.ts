// The CORS policy of the plugin's routes: the hook of @fastify/cors, apart from the app's own registration of it.

import fastifyCors, { type FastifyCorsOptions, type FastifyCorsOptionsDelegate } from '@fastify/cors'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'

export type CorsOption = FastifyCorsOptions | FastifyCorsOptionsDelegate

type Hook = (request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => void
type HookName = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'preSerialization'
/** A route's `config`, in which @fastify/cors looks for the route's own policy. */
type RouteConfig = NonNullable<RouteShorthandOptions['config']>

/**
 * Every option of @fastify/cors, so that nothing of the app's own policy remains: the app's hook merges a route's
 * `config.cors` into its own options.
 */
const DEFAULTS = {
  origin: '*',
  methods: 'GET,HEAD,POST',
  preflightContinue: false,
  optionsSuccessStatus: 204,
  credentials: false,
  exposedHeaders: null,
  allowedHeaders: null,
  maxAge: null,
  cacheControl: null,
  preflight: true,
  strictPreflight: true,
  // What @fastify/cors sets for the options of a delegate, whose answers vary by origin.
  dynamic: false
}

/**
 * Adds the hook of @fastify/cors to a scope, without the rest that it registers: a decorator and `OPTIONS *`, which an
 * app that registers it for itself also has.
 *
 * @returns the `config` for the scope's routes, by which the app's own @fastify/cors follows their policy, too
 */
export async function addCorsHook(scope: FastifyInstance, cors: CorsOption): Promise<RouteConfig> {
  let made: { name: HookName; hook: Hook } | undefined
  const host = Object.create(scope, {
    decorateRequest: { value: () => host },
    options: { value: () => host },
    addHook: {
      value: (name: HookName, hook: Hook) => {
        made = { name, hook }
        return host
      }
    }
  })
  await new Promise<void>((resolve, reject) => {
    fastifyCors(host, cors as FastifyCorsOptions, (error) => (error ? reject(error) : resolve()))
  })
  const { name, hook } = made!
  if (typeof cors === 'function' || cors.delegator) {
    // A delegate decides by request, which a config cannot express. `cors: false` turns the app's hook off for these
    // routes, and is hidden from the plugin's.
    scope.addHook(name as 'onRequest', (request, ...rest) => hook(unsilenced(request), ...rest))
    return { cors: false } as RouteConfig
  }
  scope.addHook(name as 'onRequest', hook)
  const { cacheControl } = cors
  const policy = {
    ...DEFAULTS,
    ...cors,
    ...(typeof cacheControl === 'number' && { cacheControl: `max-age=${cacheControl}` })
  }
  return { cors: policy } as RouteConfig
}

function unsilenced(request: FastifyRequest): FastifyRequest {
  const { routeOptions } = request
  const config = { ...routeOptions.config, cors: undefined }
  return Object.create(request, { routeOptions: { value: { ...routeOptions, config } } })
}
