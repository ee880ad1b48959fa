import fastifyMetrics from 'fastify-metrics'
import t from 'tap'
import type { PylonSseOptions } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import { startExamples } from '../kit/example.js'
import { serve } from '../kit/server.js'

// Processes take long to start on a busy machine.
t.setTimeout(300_000)

const OF_THE_STREAM = /^http_request_duration_seconds_count\{.*route="\/events".*\} 1$/m

t.test('metrics/: a stream does not count as latency, and the number of clients can be read', async (t) => {
  const [server] = (await startExamples(t, ['metrics/server.js'])).examples
  const metrics = async () => (await server!.call('GET', '/metrics')).text()
  const reader = await server!.listen()
  await server!.call('POST', '/say', 1)
  const during = await metrics()
  t.match(during, /^pylon_sse_clients\{hub="sse"\} 1$/m)
  t.match(during, /^pylon_sse_events_dropped_total\{hub="sse"\} 0$/m)
  await reader.cut()
  let after = during
  while (!/^pylon_sse_clients\{hub="sse"\} 0$/m.test(after)) after = await metrics()
  t.match(after, /^http_request_duration_seconds_count\{.*route="\/say".*\} 1$/m)
  t.notMatch(after, OF_THE_STREAM)
})

for (const disableMetrics of [false, true]) {
  const title = disableMetrics
    ? 'with disableMetrics the life of a stream counts nowhere'
    : 'without it the life of a stream counts as latency'
  t.test(title, async (t) => {
    const over = deferred()
    const sse: PylonSseOptions = disableMetrics ? { route: { config: { disableMetrics } } } : {}
    const s = await serve(t, {
      sse,
      setup: async (app) => {
        // One registry for all that a process has, unless it is emptied.
        await app.register(fastifyMetrics.default, { clearRegisterOnInit: true, defaultMetrics: { enabled: false } })
        app.addHook('onResponse', async () => over.resolve())
      }
    })
    const reader = await s.connect()
    await reader.abort()
    await over.promise
    const text = await s.app.metrics.client.register.metrics()
    if (disableMetrics) t.notMatch(text, OF_THE_STREAM)
    else t.match(text, OF_THE_STREAM)
  })
}
