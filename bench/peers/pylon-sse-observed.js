// This plugin with metrics, traces and an open dashboard, for bench/observing.js.

import http from 'node:http'
import { metrics, trace } from '@opentelemetry/api'
import { InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, BatchSpanProcessor, InMemorySpanExporter } from '@opentelemetry/sdk-trace-base'
import { Registry } from 'prom-client'
import sseDashboard from 'pylon-sse/dashboard'
import sseMetrics from 'pylon-sse/metrics'
import sseTelemetry from 'pylon-sse/opentelemetry'
import { setup as setupPlain } from './pylon-sse.js'

/** Prometheus asks and OpenTelemetry exports this often, ms: three times as often as is usual. */
const SCRAPE = 5000

/** This plugin with all that observes it: metrics that are scraped, OpenTelemetry with spans, and a live page that is open. */
export async function setup(app, options) {
  const register = new Registry()
  const exporter = new InMemoryMetricExporter(0)
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: SCRAPE,
    exportTimeoutMillis: SCRAPE
  })
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  const spanProcessors = [new BatchSpanProcessor(new InMemorySpanExporter())]
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors }))
  const peer = await setupPlain(app, options)
  await app.register(sseMetrics, { register })
  await app.register(sseTelemetry)
  await app.register(sseDashboard, { unprotected: true })
  app.get('/metrics', async () => register.metrics())
  app.addHook('onListen', async () => {
    const { port } = app.server.address()
    const ask = (path) =>
      http.get({ host: '127.0.0.1', port, path }, (response) => response.resume()).on('error', () => {})
    ask('/sse-dashboard/events')
    setInterval(() => {
      exporter.reset()
      ask('/metrics')
    }, SCRAPE).unref()
  })
  return peer
}
