/**
 * Metrics for Prometheus, by prom-client. What they measure is in figures.ts.
 *
 * @module pylon-sse/metrics
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { register as globalRegistry, type Registry } from 'prom-client'
import { InvalidOptionError } from '../../api/errors.js'
import { type HubOptions, hubOf } from './hub-name.js'
import { RegisteredMetrics } from './registered.js'

export type { HubOptions } from './hub-name.js'

/** Options of the plugin. */
export interface SseMetricsOptions extends HubOptions {
  /**
   * Where the metrics are registered. Default: the registry of fastify-metrics if the app has it, else prom-client's
   * own.
   */
  register?: Registry | undefined
  /** Prefix of the names of the metrics. Default: `'pylon_sse_'`. */
  namePrefix?: string | undefined
}

/** A valid prefix of a name (Prometheus data model). */
const PREFIX = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

async function plugin(app: FastifyInstance, options: SseMetricsOptions): Promise<void> {
  const [sse, hub] = hubOf(app, options)
  const { namePrefix = 'pylon_sse_', register = registryOf(app) ?? globalRegistry } = options
  if (typeof namePrefix !== 'string' || !PREFIX.test(namePrefix)) {
    throw new InvalidOptionError('namePrefix', JSON.stringify(namePrefix), 'letters, digits and _, such as pylon_sse_')
  }
  if (typeof register?.registerMetric !== 'function') {
    throw new InvalidOptionError('register', `a value of type ${typeof register}`, 'a Registry of prom-client')
  }
  const metrics = RegisteredMetrics.of(register, namePrefix)
  metrics.add(sse, hub)
  app.addHook('onClose', async () => metrics.remove(sse))
}

/** Returns the registry of fastify-metrics, if the app has it. */
function registryOf(app: FastifyInstance): Registry | undefined {
  return (app as { metrics?: { client?: { register?: Registry } } }).metrics?.client?.register
}

/**
 * Registers the figures of a hub as metrics of prom-client. Register it after the hub. The metrics leave the registry
 * when the app closes.
 *
 * It throws `InvalidOptionError` if the app has no such hub, or the registry has one with the same name.
 *
 * @example
 * await app.register(pylonSse)
 * await app.register(sseMetrics)
 * app.get('/metrics', async (_request, reply) => reply.type(register.contentType).send(await register.metrics()))
 */
const sseMetrics: FastifyPluginAsync<SseMetricsOptions> = fp(plugin, { fastify: '5.x', name: 'pylon-sse-metrics' })

export { sseMetrics as default, sseMetrics, sseMetrics as 'module.exports' }
