import fastifyCors, { type FastifyCorsOptions, type FastifyCorsOptionsDelegate } from '@fastify/cors'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify'

export type CorsOption = FastifyCorsOptions | FastifyCorsOptionsDelegate

type Hook = (request: FastifyRequest, reply: FastifyReply, ...rest: unknown[]) => void
type HookName = 'onRequest' | 'preParsing' | 'preValidation' | 'preHandler' | 'preSerialization'

/** What a route needs to have a CORS policy of its own. */
export interface CorsPolicy {
  /** The hook of @fastify/cors, with its place in the life of a request. */
  readonly name: HookName
  readonly hook: Hook
  /** For an app that has @fastify/cors, too: its hook, which runs first, follows the route's `config.cors`. */
  readonly config: NonNullable<RouteShorthandOptions['config']>
}

/**
 * Every option of @fastify/cors, so that nothing of the app's own policy shows through: it merges a route's
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
  strictPreflight: true
}

/**
 * Has @fastify/cors make its hook without the rest of what it registers: a decorator and `OPTIONS *`, which an app
 * that registers it for itself has already, or will have.
 */
export async function corsPolicy(app: FastifyInstance, cors: CorsOption): Promise<CorsPolicy> {
  let made: { name: HookName; hook: Hook } | undefined
  const host = Object.create(app, {
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
    // A delegate decides by request, which a config cannot say: the app's hook is silenced, and this one not told.
    const unsilenced = { routeOptions: { value: { config: {} } } }
    const own: Hook = (request, ...rest) => hook(Object.create(request, unsilenced), ...rest)
    return { name, hook: own, config: { cors: false } as object }
  }
  const { cacheControl } = cors
  const policy = {
    ...DEFAULTS,
    ...cors,
    ...(typeof cacheControl === 'number' && { cacheControl: `max-age=${cacheControl}` })
  }
  return { name, hook, config: { cors: policy } as object }
}
