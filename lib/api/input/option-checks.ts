// What each option of the plugin, and of closing a client, takes. The defaults are in ../options.ts.

import type { CloseOptions } from '../api.js'
import { InvalidOptionError } from '../errors.js'
import type { PylonSseOptions } from '../options.js'
import { type Check, callable, fields, flag, MAX_DELAY, object, oneOf, onlyKnown, refuse, whole } from './checks.js'
import { nearest, unknownName } from './nearest-name.js'

/** Route options that the plugin sets itself. */
const OWN_ROUTE_OPTIONS = ['method', 'url', 'path', 'handler', 'exposeHeadRoute', 'prefixTrailingSlash']
/** Options of `register` itself, which Fastify passes on to the plugin. */
const REGISTER_OPTIONS = ['prefix', 'logLevel', 'logSerializers']

const CHECKS: Record<keyof PylonSseOptions, Check> = {
  path: (name, value) => {
    if (value !== false && (typeof value !== 'string' || !/^\/[^?#]*$/.test(value)))
      refuse(name, value, "a path such as '/events', or false")
  },
  decorator: (name, value) => {
    if (typeof value !== 'string' || value === '') refuse(name, value, 'a name')
  },
  shards: whole(1, 65_536),
  queueDepth: whole(1),
  overflow: oneOf('drop-oldest', 'disconnect'),
  history: (name, value) => {
    if (value === false) return
    object(name, value, 'an object or false')
    fields(name, value as object, { events: whole(1), bytes: whole(1) })
  },
  keepAliveInterval: whole(0, MAX_DELAY),
  keepAlive: oneOf('comment', 'event'),
  retry: whole(0, MAX_DELAY),
  maxClientsPerIp: (name, value) => {
    if (value !== false && value !== Number.POSITIVE_INFINITY) whole(1, undefined, ', or false')(name, value)
  },
  limitBy: callable,
  maxClients: whole(1),
  overLimit: oneOf('status', 'retry'),
  maxConnectionAge: whole(0, MAX_DELAY),
  authorizeTopics: callable,
  maxTopics: whole(1),
  maxTopicBytes: whole(1),
  publish: (name, value) => {
    if (value !== false) routeOptions(name, value, 'an object or false')
  },
  events: object,
  maxEventBytes: whole(1),
  compress: flag,
  stallTimeout: whole(0, MAX_DELAY),
  cors: (name, value) => {
    if (value !== false && typeof value !== 'function') object(name, value, 'an object, a function or false')
  },
  route: routeOptions,
  onConnect: callable,
  onDisconnect: callable,
  serialize: callable,
  runs: (name, value) => {
    object(name, value)
    fields(name, value as object, { max: whole(1), bytes: whole(1), silence: whole(100, MAX_DELAY) })
  },
  backplane: (name, value) => {
    const { join, publish, compare, close } = (value ?? {}) as Partial<NonNullable<PylonSseOptions['backplane']>>
    if (![join, publish, compare, close].every((method) => typeof method === 'function')) {
      refuse(name, value, 'a backplane, as redisStreams(), jetStream() and postgres() give it')
    }
  }
}

/** @throws InvalidOptionError that names the option, what it got and what it takes */
export function checkOptions(options: PylonSseOptions): void {
  const own = (options.route?.config as { cors?: unknown } | undefined)?.cors
  if (own !== undefined && options.cors !== false)
    throw new InvalidOptionError('route.config.cors', "cannot be set; use the plugin's option 'cors' instead")
  for (const [name, value] of Object.entries(options)) {
    if (REGISTER_OPTIONS.includes(name)) continue
    if (!Object.hasOwn(CHECKS, name)) refuseMisspelt(name)
    else if (value !== undefined) checkOption(name as keyof PylonSseOptions, value)
  }
  if (options.path === false && options.publish)
    throw new InvalidOptionError('publish', 'adds a route on the path of the stream, which is false')
}

/** Checks one option, for other functions that take an option of the same name. @throws InvalidOptionError */
export function checkOption(name: keyof PylonSseOptions, value: unknown): void {
  CHECKS[name](name, value)
}

/** Checks the options of `client.close` and `app.sse.disconnect`. @throws InvalidOptionError */
export function checkCloseOptions(options: unknown): CloseOptions {
  if (options === undefined) return {}
  object('options', options, 'an object, { reconnect? }')
  const checked = options as CloseOptions
  onlyKnown(checked, ['reconnect'])
  if (checked.reconnect !== undefined) flag('reconnect', checked.reconnect)
  return checked
}

/**
 * The names of options that are not the plugin's, in the order given. They may be other plugins' options: apps that
 * load a folder of plugins (@fastify/autoload) pass the same object to all of them.
 */
export function foreignOptions(options: object): string[] {
  return Object.keys(options).filter((name) => !Object.hasOwn(CHECKS, name) && !REGISTER_OPTIONS.includes(name))
}

/** Refuses a name that is close to one of the plugin's: it is not another plugin's option, but a mistake. */
function refuseMisspelt(name: string): void {
  const known = Object.keys(CHECKS)
  if (nearest(name, known) !== undefined) throw new InvalidOptionError(name, unknownName(name, known))
}

function routeOptions(name: string, value: unknown, takes?: string): void {
  object(name, value, takes)
  for (const key of OWN_ROUTE_OPTIONS) {
    const own = (value as Record<string, unknown>)[key]
    if (own !== undefined) throw new InvalidOptionError(`${name}.${key}`, 'cannot be set: the plugin sets it itself')
  }
}
