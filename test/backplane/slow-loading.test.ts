import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { whileComing } from '../../lib/backplane/within.js'
import { join, parcels } from '../kit/backplane-listener.js'
import { natsEngine } from '../kit/nats-engine.js'
import { postgresEngine } from '../kit/postgres-engine.js'
import { redisEngine } from '../kit/redis-engine.js'
import { TcpProxy } from '../kit/tcp-proxy.js'

const MIB = 1024 * 1024
const BOUNDS = { events: 10_000, bytes: 16 * MIB }
/** So slow that the whole takes longer than any one answer may. */
const RATE = 400_000
const EVENTS = 160
const BODY = 'x'.repeat(10_000)

t.jobs = 2

for (const [name, startEngine] of [
  ['Redis', redisEngine],
  ['JetStream', natsEngine]
] as const) {
  /** An engine that has a history, and what leads to it. */
  const startFilled = async (t: Test) => {
    const engine = await startEngine(t)
    if (engine === undefined) return undefined
    const near = engine.backplane()
    t.teardown(() => near.close())
    await join(near)
    for (let i = 0; i < EVENTS; i++) await near.publish(parcels(BODY))
    const joinBy = async (wire: TcpProxy) => {
      const far = engine.backplane({}, wire.port)
      t.teardown(() => far.close())
      return join(far, BOUNDS)
    }
    return { near, joinBy, port: engine.port }
  }

  t.test(`a process on a slow network loads its history from ${name}, however long that takes`, async (t) => {
    const filled = await startFilled(t)
    if (filled === undefined) return
    const { near, joinBy, port } = filled
    const since = performance.now()
    const { history, listener } = await joinBy(await TcpProxy.to(t, port, { rate: RATE }))
    t.ok(performance.now() - since > 3000, 'it has taken longer than an answer may')
    t.equal(history.length, EVENTS)
    await near.publish(parcels('live'))
    t.equal((await listener.waitForEntries(1))[0]!.message.body, 'live')
  })

  t.test(`processes that start at once load the history of ${name} one after another`, async (t) => {
    const filled = await startFilled(t)
    if (filled === undefined) return
    const { joinBy, port } = filled
    let asked = 0
    t.intercept(Math, 'random', { value: () => (asked++ % 4) / 4 })
    const begins: number[] = []
    const start = async () => {
      const wire = await TcpProxy.to(t, port)
      const joining = joinBy(wire)
      while (wire.passed < MIB / 2) await sleep(5)
      begins.push(performance.now())
      await joining
    }
    await Promise.all([start(), start(), start(), start()])
    t.ok(Math.max(...begins) - Math.min(...begins) > 200, 'they begin within a second')
  })
}

t.test('an event is published to Postgres behind a large answer, however slow the network', async (t) => {
  const engine = await postgresEngine()
  if (engine === undefined) return
  const wire = await TcpProxy.to(t, engine.port, { rate: 25_000 })
  const [near, far] = [engine.backplane(), engine.backplane({}, wire.port)]
  for (const backplane of [near, far]) t.teardown(() => backplane.close())
  await join(near)
  const { listener } = await join(far)
  const before = wire.passed
  await near.publish(parcels(...Array.from({ length: 20 }, () => BODY)))
  while (wire.passed < before + 1000) await sleep(5)
  const since = performance.now()
  await far.publish(parcels('mine'))
  t.ok(performance.now() - since > 5000, 'it has waited longer than for an answer')
  const entries = await listener.waitForEntries(21)
  t.equal(entries.at(-1)!.message.body, 'mine')
  t.strictSame(listener.states, [])
})

t.test('a slow answer is waited for as long as bytes arrive, and no longer', async (t) => {
  let received = 0
  const timer = setInterval(() => received++, 5)
  t.teardown(() => clearInterval(timer))
  const later = new Promise<string>((resolve) => setTimeout(() => resolve('whole'), 500))
  t.equal(await whileComing(100, later, () => received), 'whole')
  await t.rejects(
    whileComing(100, new Promise(() => {}), () => 7),
    { name: 'LateError' }
  )
  const failing = new Promise((_resolve, reject) => setTimeout(() => reject(new Error('broken')), 150))
  await t.rejects(
    whileComing(100, failing, () => received),
    { message: 'broken' }
  )
})
