/**
 * Metrics and traces for OpenTelemetry, by `@opentelemetry/api`. What the metrics measure is in figures.ts.
 *
 * @module pylon-sse/opentelemetry
 */
import { type Meter, metrics, type Tracer, trace } from '@opentelemetry/api'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import type { Sse } from '../../api/api.js'
import { InvalidOptionError } from '../../api/errors.js'
import { ChannelListeners } from './channel-listeners.js'
import { DISTRIBUTIONS, FIGURES } from './figures.js'
import { type HubOptions, hubOf } from './hub-name.js'
import { StreamSpans } from './stream-spans.js'

export type { HubOptions } from './hub-name.js'

/** Options of the plugin. */
export interface SseTelemetryOptions extends HubOptions {
  /** The meter that creates the metrics; `false` for no metrics. Default: `metrics.getMeter('pylon-sse')`. */
  meter?: Meter | false | undefined
  /** The tracer that creates the spans. Default: `trace.getTracer('pylon-sse')`. */
  tracer?: Tracer | undefined
  /**
   * When the span of a stream ends. `'head'` (default): when the response headers have been sent, so that the hours of
   * a stream do not count as latency; it is exported when the stream has ended, with the duration as the attribute
   * `pylon_sse.stream.duration`. `'end'`: with the stream. `false`: there are no spans.
   */
  spans?: 'head' | 'end' | false | undefined
}

const NAME = 'pylon-sse'
const SPANS = ['head', 'end', false] as const

async function plugin(app: FastifyInstance, options: SseTelemetryOptions): Promise<void> {
  const [sse, hub] = hubOf(app, options)
  const { spans = 'head', meter = metrics.getMeter(NAME), tracer = trace.getTracer(NAME) } = options
  if (!SPANS.includes(spans)) throw new InvalidOptionError('spans', JSON.stringify(spans), "'head', 'end' or false")
  const listeners = new ChannelListeners()
  const stop = meter === false ? undefined : measure(meter, sse, hub, listeners)
  if (spans !== false) new StreamSpans(tracer, sse, hub, spans).listen(listeners)
  app.addHook('onClose', async () => {
    stop?.()
    listeners.close()
  })
}

/** Registers the metrics. @returns a function that unregisters those that are observed */
function measure(meter: Meter, sse: Sse, hub: string, listeners: ChannelListeners): () => void {
  const attributes = { 'pylon_sse.hub': hub }
  const instruments = FIGURES.map((figure) => {
    const { name, unit, help: description } = figure
    const make = figure.kind === 'gauge' ? meter.createObservableGauge : meter.createObservableCounter
    return { figure, instrument: make.call(meter, `pylon_sse.${name}`, { unit, description }) }
  })
  const observed = instruments.map(({ instrument }) => instrument)
  const observe: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    const stats = sse.stats()
    for (const { figure, instrument } of instruments) {
      const value = figure.read(stats, sse)
      if (typeof value === 'number') result.observe(instrument, value, attributes)
      else
        for (const [of, each] of Object.entries(value ?? {}))
          result.observe(instrument, each, { ...attributes, [`pylon_sse.${figure.label!}`]: of })
    }
  }
  meter.addBatchObservableCallback(observe, observed)
  for (const { name, unit, help: description, buckets, channel, read } of DISTRIBUTIONS) {
    const advice = { explicitBucketBoundaries: [...buckets] }
    const histogram = meter.createHistogram(`pylon_sse.${name}`, { unit, description, advice })
    listeners.on(channel, (message) => {
      if (message.sse === sse) histogram.record(read(message), attributes)
    })
  }
  return () => meter.removeBatchObservableCallback(observe, observed)
}

/**
 * Exports the metrics of a hub to OpenTelemetry, and a span for each stream, in the context of its request. Register it
 * after the hub. It throws `InvalidOptionError` if the app has no such hub.
 *
 * @example
 * await app.register(pylonSse)
 * await app.register(sseTelemetry)
 */
const sseTelemetry: FastifyPluginAsync<SseTelemetryOptions> = fp(plugin, {
  fastify: '5.x',
  name: 'pylon-sse-opentelemetry'
})

export { sseTelemetry as default, sseTelemetry, sseTelemetry as 'module.exports' }
