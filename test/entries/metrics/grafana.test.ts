import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import t, { type Test } from 'tap'
import { parse, stringify } from 'yaml'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { DISTRIBUTIONS, FIGURES } from '../../../lib/entries/metrics/figures.js'
import sseMetrics from '../../../lib/entries/metrics/metrics.js'
import pylonSse from '../../../lib/index.js'
import { requireBinary } from '../../kit/binary.js'
import { startDaemon } from '../../kit/daemon.js'
import { Heard } from '../../kit/diagnostics.js'
import { PATIENCE } from '../../kit/patience.js'
import { freePort, startRedis } from '../../kit/redis-server.js'
import { serve } from '../../kit/server.js'

interface Dashboard {
  panels: { title: string; targets?: { expr: string }[] }[]
  templating: { list: { query: string | { query: string } }[] }
}

const DOCS = new URL('../../../docs/', import.meta.url)
const ALERTS = fileURLToPath(new URL('grafana/alerts.yml', DOCS))
const METRIC = /\bpylon_sse_\w+/g

const dashboard: Dashboard = JSON.parse(await readFile(new URL('grafana/dashboard.json', DOCS), 'utf8'))
const rules: { alert: string; expr: string; for: string }[] = parse(await readFile(ALERTS, 'utf8')).groups[0].rules
const expressions = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({
    title,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(job|hub)/g, '.*')
  }))
)

/** An app with a Redis that has figures of everything, and its registry. */
async function busyApp(t: Test) {
  const server = await startRedis(t)
  if (server === undefined) return undefined
  const register = new Registry()
  const gone = new Heard(t, 'pylon-sse:client:disconnect')
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse, { backplane: redisStreams({ url: server.url }) })
      await app.register(sseMetrics, { register })
      app.get('/metrics', async (_request, reply) => reply.type(register.contentType).send(await register.metrics()))
    }
  })
  const reader = await s.connect()
  const id = await s.app.sse.publish(1)
  await reader.next()
  await (await s.connect({ lastEventId: id })).close()
  await gone.at(0)
  return { ...s, register }
}

t.test('every query of the dashboard and of the alerts names metrics that exist', async (t) => {
  const register = new Registry()
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse)
      await app.register(sseMetrics, { register })
    }
  })
  const parts = ({ name, type }: { name: string; type: unknown }) =>
    String(type) === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => name + part) : [name]
  const known = new Set((await register.getMetricsAsJSON()).flatMap((metric) => parts(metric)))
  t.equal(s.app.sse.clientCount, 0)
  const queries = [
    ...expressions.map(({ expr }) => expr),
    ...rules.map(({ expr }) => expr),
    ...dashboard.templating.list.map(({ query }) => (typeof query === 'string' ? query : query.query))
  ]
  const named = queries.flatMap((query) => query.match(METRIC) ?? [])
  t.ok(named.length > 30)
  t.strictSame(
    named.filter((name) => !known.has(name)),
    []
  )
})

t.test('the runbook describes every metric, and none that does not exist', async (t) => {
  const register = new Registry()
  await serve(t, {
    sse: false,
    setup: async (app) => {
      await app.register(pylonSse)
      await app.register(sseMetrics, { register })
    }
  })
  const page = await readFile(new URL('operations.md', DOCS), 'utf8')
  const table = page.slice(page.indexOf('| metric |'))
  const told = new Set(table.match(/(?<=^\|.*)`pylon_sse_\w+`(?=[^|]*\|)/gm)?.map((name) => name.slice(1, -1)))
  const all = register.getMetricsAsArray().map(({ name }) => name)
  t.equal(all.length, FIGURES.length + DISTRIBUTIONS.length)
  t.strictSame(
    all.filter((name) => !told.has(name)),
    []
  )
})

t.test('each query of the dashboard returns data from a Prometheus that scrapes a busy app', async (t) => {
  const prometheus = requireBinary(t, 'prometheus')
  if (prometheus === undefined) return
  const s = await busyApp(t)
  if (s === undefined) return
  const port = await freePort()
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [ALERTS],
    scrape_configs: [{ job_name: 'app', static_configs: [{ targets: [`127.0.0.1:${s.port}`] }] }]
  }
  const args = ['--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=127.0.0.1:${port}`]
  await startDaemon(t, prometheus, { port, files: { 'prometheus.yml': stringify(config) }, args: () => args })
  const ask = async (path: string) => (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json() as Promise<Answer>
  const query = async (expr: string) => {
    const { status, error, data } = await ask(`query?query=${encodeURIComponent(expr)}`)
    return error ?? (status === 'success' ? data.result : [])
  }
  const deadline = Date.now() + 3 * PATIENCE
  /** Asks again while there is no data: a scrape that comes too late ends every series until the next one. */
  const dataOf = async (expr: string) => {
    for (;;) {
      const result = await query(expr)
      if (!Array.isArray(result) || result.length > 0 || Date.now() > deadline) return result
      await sleep(50)
    }
  }
  while (!(await fetch(`http://127.0.0.1:${port}/-/ready`)).ok && Date.now() < deadline) await sleep(50)
  // Two samples, for there to be rates.
  for (let samples = 0; samples < 2; await sleep(50)) {
    if (Date.now() > deadline) throw new Error('Prometheus has not scraped the app')
    const [first] = (await query('count_over_time(pylon_sse_clients[1m])')) as { value: [number, string] }[]
    samples = Number(first?.value[1] ?? 0)
  }
  for (const { title, expr } of expressions) {
    const result = await dataOf(expr)
    t.ok(Array.isArray(result) && result.length > 0, `${title}: ${expr}: ${JSON.stringify(result)}`)
  }
  const [clients] = (await dataOf('sum(pylon_sse_clients)')) as { value: [number, string] }[]
  t.equal(clients!.value[1], '1')
  const loaded = (await ask('rules')).data.groups.flatMap(({ rules }) => rules)
  t.equal(loaded.length, rules.length)
  t.strictSame(
    loaded.filter(({ lastError }) => lastError),
    []
  )
})

interface Answer {
  status: string
  error?: string
  data: { result: unknown[]; groups: { rules: { name: string; lastError?: string }[] }[] }
}

/** For each alert, series of one sample a minute that make it fire. */
const FIRING: Record<string, Record<string, string>> = {
  PylonSseBackplaneDown: { 'pylon_sse_backplane_connected{instance="a",backplane="redis"}': '0x30' },
  PylonSseEventsLost: { 'pylon_sse_backplane_lost_events_total{instance="a",backplane="redis"}': '0+1x30' },
  PylonSseBackplaneSlow: { 'pylon_sse_backplane_pending_events{instance="a",backplane="redis"}': '2000x30' },
  PylonSseNotReady: { 'pylon_sse_ready{instance="a"}': '0x30' },
  PylonSseClientsTurnedAway: { 'pylon_sse_requests_rejected_total{reason="serverFull"}': '0+60x30' },
  PylonSseClientsMissEvents: {
    'pylon_sse_events_dropped_total{hub="sse"}': '0+2x30',
    'pylon_sse_deliveries_total{hub="sse"}': '0+1000x30'
  },
  PylonSseHistoryTooShort: {
    'pylon_sse_resyncs_total{hub="sse",reason="expired"}': '0+2x40',
    'pylon_sse_clients_accepted_total{hub="sse"}': '0+10x40'
  },
  PylonSseDeliverySlow: {
    'pylon_sse_delivery_delay_seconds_bucket{le="1"}': '0+10x30',
    'pylon_sse_delivery_delay_seconds_bucket{le="2.5"}': '0+100x30',
    'pylon_sse_delivery_delay_seconds_bucket{le="+Inf"}': '0+100x30'
  },
  PylonSseClientsGone: { 'pylon_sse_clients{hub="sse"}': '1000x19 100x30' }
}

t.test('the alerts are valid, fire when they should, and are quiet otherwise', async (t) => {
  const promtool = requireBinary(t, 'promtool')
  if (promtool === undefined) return
  const checked = spawnSync(promtool, ['check', 'rules', ALERTS], { encoding: 'utf8' })
  t.equal(checked.status, 0, checked.stderr)
  t.strictSame(rules.map(({ alert }) => alert).sort(), Object.keys(FIRING).sort(), 'each is tried')
  const seriesOf = (values: Record<string, string>) =>
    Object.entries(values).map(([series, values]) => ({ series, values }))
  const calm = {
    'pylon_sse_backplane_connected{backplane="redis"}': '1x40',
    'pylon_sse_backplane_lost_events_total{backplane="redis"}': '3x40',
    'pylon_sse_backplane_lag_seconds{backplane="redis"}': '0.01x40',
    pylon_sse_ready: '1x40',
    'pylon_sse_requests_rejected_total{reason="serverFull"}': '7x40',
    pylon_sse_events_dropped_total: '0+1x40',
    pylon_sse_deliveries_total: '0+100000x40',
    'pylon_sse_resyncs_total{reason="expired"}': '0+1x40',
    pylon_sse_clients_accepted_total: '0+100x40',
    'pylon_sse_delivery_delay_seconds_bucket{le="1"}': '0+100x40',
    'pylon_sse_delivery_delay_seconds_bucket{le="+Inf"}': '0+100x40',
    pylon_sse_clients: '1000x40'
  }
  const promql = (alert: string) => `count(ALERTS{alertname="${alert}",alertstate="firing"})`
  const tests = Object.entries(FIRING).map(([alert, values]) => ({
    interval: '1m',
    input_series: seriesOf(values),
    promql_expr_test: [{ expr: promql(alert), eval_time: '28m', exp_samples: [{ labels: '{}', value: 1 }] }]
  }))
  const silent = {
    interval: '1m',
    input_series: seriesOf(calm),
    promql_expr_test: [{ expr: 'count(ALERTS)', eval_time: '35m', exp_samples: [] }]
  }
  const folder = t.testdir({
    'tests.yml': stringify({ rule_files: [ALERTS], evaluation_interval: '1m', tests: [...tests, silent] })
  })
  const { status, stdout, stderr } = spawnSync(promtool, ['test', 'rules', `${folder}/tests.yml`], { encoding: 'utf8' })
  t.equal(status, 0, `${stdout}${stderr}`)
})
