/**
 * A page that shows what happens in a hub, live. What it is sent is in snapshot.ts.
 *
 * @module pylon-sse/dashboard
 */
import { readFile } from 'node:fs/promises'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Sse, SseClient } from '../../api/api.js'
import { CrossOriginError, InvalidOptionError } from '../../api/errors.js'
import type { SseRouteOptions } from '../../api/options.js'
import pylonSse from '../../index.js'
import { isCrossOrigin } from '../../routes/publish.js'
import { ChannelListeners } from '../metrics/channel-listeners.js'
import { type HubOptions, hubOf } from '../metrics/hub-name.js'
import { Pauses } from './pauses.js'
import { findClients, LastDisconnects, type ObservedClient, takeSnapshot } from './snapshot.js'

export type { HubOptions } from '../metrics/hub-name.js'

/** Options of the plugin. */
export interface SseDashboardOptions extends HubOptions {
  /**
   * URL of the page, under the prefix given to `register`. Its other routes are below it. Default: `'/sse-dashboard'`.
   */
  path?: string | undefined
  /**
   * Fastify's route options for all routes of the page. They must contain a hook that decides who may see it,
   * `onRequest`, `preParsing`, `preValidation` or `preHandler`: by a cookie or HTTP basic authentication, since a
   * browser sends no other credentials by itself.
   */
  route?: SseRouteOptions | undefined
  /**
   * Whether the plugin starts without a hook in `route`: everyone who reaches the URL then sees addresses and topics.
   * Default: false.
   */
  unprotected?: boolean | undefined
  /** Whether the page may close and pause clients. Default: true. */
  actions?: boolean | undefined
  /** Time between two snapshots, ms, from 100 to 60,000. While nobody watches, none is taken. Default: 1,000 ms. */
  interval?: number | undefined
  /** Time after which a paused client is resumed, ms, from 100 to 600,000. Default: 10,000 ms. */
  pauseTime?: number | undefined
}

const ASSETS = new URL('./assets/', import.meta.url)
const HOOKS = ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const
/** Maximum number of open pages: each is sent some kilobytes per second. */
const MAX_WATCHERS = 50
/** Allows only resources of the same origin, and no frames. */
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': CSP,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/**
 * Serves a page that shows the stats, clients, topics and last disconnects of a hub, by a stream of its own. Register
 * it after the hub. It shows one process: behind a load balancer the one that answers.
 *
 * It throws `InvalidOptionError` if the app has no such hub, or no hook in `route` and `unprotected` is not set.
 *
 * @example
 * await app.register(pylonSse)
 * await app.register(sseDashboard, { path: '/admin/live', route: { onRequest: app.basicAuth } })
 */
const sseDashboard: FastifyPluginAsync<SseDashboardOptions> = async (app, options) => {
  const [sse, hub] = hubOf(app, options)
  const { path = '/sse-dashboard', route = {}, actions: isWritable = true } = options
  if (typeof path !== 'string' || !/^\/.*[^/]$/.test(path)) {
    throw new InvalidOptionError('path', JSON.stringify(path), "a path such as '/sse-dashboard'")
  }
  if (options.unprotected !== true && !HOOKS.some((hook) => [route[hook] ?? []].flat().length > 0)) {
    throw new InvalidOptionError(
      'route',
      `has no hook that decides who may see the page (${HOOKS.join(', ')}); set one, or unprotected: true`
    )
  }
  const interval = time('interval', options.interval ?? 1000, 60_000)
  const pauses = new Pauses(time('pauseTime', options.pauseTime ?? 10_000, 600_000))
  const disconnects = new LastDisconnects()
  const listeners = new ChannelListeners()
  listeners.on('pylon-sse:client:disconnect', ({ sse: of, client, reason, duration }) => {
    if (of !== sse) return
    pauses.resume(client as ObservedClient)
    disconnects.add({ at: Date.now(), reason, duration, ip: client.ip })
  })
  const snapshot = () => takeSnapshot(sse, { hub, isWritable, disconnects })
  const watchers = await addStream(app, path, route, (client) => client.send(snapshot(), { event: 'snapshot' }))
  const timer = setInterval(() => {
    if (watchers.clientCount > 0) watchers.broadcast(snapshot(), { event: 'snapshot' })
  }, interval)
  timer.unref()
  app.addHook('onClose', async () => {
    clearInterval(timer)
    listeners.close()
  })

  const add = (added: Pick<RouteOptions, 'method' | 'url' | 'handler'>) =>
    app.route({ ...route, ...added, url: path + added.url, schema: { hide: true } as object })
  await addPage(add, hub)
  const get = (url: string, handler: RouteOptions['handler']) => add({ method: 'GET', url, handler })
  get('/clients', async (request, reply) => {
    reply.headers(HEADERS)
    const { q } = request.query as { q?: unknown }
    return findClients(sse, typeof q === 'string' ? q : '')
  })
  if (!isWritable) return
  const acts: Record<string, (client: ObservedClient) => void> = {
    close: (client) => client.close(),
    pause: (client) => pauses.pause(client),
    resume: (client) => pauses.resume(client)
  }
  for (const [name, act] of Object.entries(acts)) {
    add({
      method: 'POST',
      url: `/clients/:id/${name}`,
      handler: async (request, reply) => {
        if (isCrossOrigin(request)) throw new CrossOriginError()
        const { id } = request.params as { id: string }
        const client = sse.client(id)
        if (client === undefined) return reply.callNotFound()
        request.log.info(
          { sseClient: { id, ip: client.ip }, action: name },
          'SSE: a client is acted on by the dashboard'
        )
        act(client as ObservedClient)
        return reply.code(204).send()
      }
    })
  }
}

/** Adds a hub for the page, so that its watchers are not clients of the hub that they watch. */
async function addStream(
  app: FastifyInstance,
  path: string,
  route: SseRouteOptions,
  onConnect: (client: SseClient) => void
): Promise<Sse> {
  const decorator = 'pylonSseDashboard'
  await app.register(pylonSse, {
    decorator,
    path: `${path}/events`,
    route: { ...route, schema: { hide: true } as object },
    shards: 1,
    // Only the newest snapshot is of use.
    history: false,
    queueDepth: 2,
    maxClients: MAX_WATCHERS,
    maxClientsPerIp: false,
    cors: false,
    onConnect
  })
  return (app as unknown as Record<typeof decorator, Sse>)[decorator]
}

async function addPage(
  add: (route: Pick<RouteOptions, 'method' | 'url' | 'handler'>) => void,
  hub: string
): Promise<void> {
  const read = (name: string) => readFile(new URL(name, ASSETS), 'utf8')
  const [html, css, js] = [await read('page.html'), await read('page.css'), await read('page.js')]
  const send =
    (type: string, text: (request: FastifyRequest) => string) => (request: FastifyRequest, reply: FastifyReply) => {
      reply.headers(HEADERS).type(`${type}; charset=utf-8`).send(text(request))
    }
  const title = escapeHtml(hub === 'sse' ? 'Live stream' : `Live stream: ${hub}`)
  const page = (request: FastifyRequest) => html.replaceAll('{{title}}', title).replaceAll('{{base}}', baseOf(request))
  add({ method: 'GET', url: '', handler: send('text/html', page) })
  add({ method: 'GET', url: '/page.css', handler: send('text/css', () => css) })
  add({ method: 'GET', url: '/page.js', handler: send('text/javascript', () => js) })
}

/**
 * Returns the base of the page's own URLs. It is relative, so that it is also right behind a proxy that removes a
 * prefix.
 */
function baseOf({ url }: FastifyRequest): string {
  const path = url.split('?')[0]!
  const last = path.slice(path.lastIndexOf('/') + 1)
  return last === '' ? './' : `${escapeHtml(last)}/`
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}

function time(name: string, value: unknown, max: number): number {
  if (typeof value === 'number' && value >= 100 && value <= max) return value
  throw new InvalidOptionError(name, String(value), `100 to ${max} ms`)
}

export { sseDashboard as default, sseDashboard, sseDashboard as 'module.exports' }
