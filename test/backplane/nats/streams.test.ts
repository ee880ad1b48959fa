import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamConfig } from '@nats-io/jetstream'
import t from 'tap'
import type { Linked } from '../../../lib/backplane/nats/link.js'
import { NatsStream } from '../../../lib/backplane/nats/nats-stream.js'
import { bodiesOf, join, parcels } from '../../kit/backplane-listener.js'
import { addStream, infoOf, over, UNAVAILABLE } from '../../kit/jetstream.js'
import { startNats } from '../../kit/nats-server.js'

t.test('the stream is created with bounds, and an existing one is used as it is', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const options = { stream: 'OWN', subject: 'own.events', maxMessages: 500, maxBytes: 2 ** 20 }
  const joined = await join(over(t, server, options))
  t.strictSame(joined.history, [])
  const { config } = await infoOf(server, 'OWN')
  t.match(config, {
    subjects: ['own.events'],
    max_msgs: 500,
    max_bytes: 2 ** 20,
    discard: 'old',
    retention: 'limits',
    storage: 'file',
    num_replicas: 1
  })
  await join(over(t, server, { ...options, maxMessages: 900 }))
  t.equal((await infoOf(server, 'OWN')).config.max_msgs, 500, 'its bounds are for whoever created it to change')
})

t.test('processes that start at once agree on one stream, whatever bounds they give', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const processes = [1, 2, 3, 4].map((n) => over(t, server, { maxMessages: n * 1000 }))
  const joined = await Promise.all(processes.map((backplane) => join(backplane)))
  await processes[0]!.publish(parcels('1'))
  for (const { listener } of joined) t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['1'])
})

t.test(
  'a stream that the server is still creating for another process is not taken for another one later',
  async (t) => {
    const server = await startNats(t)
    if (server === undefined) return
    const { manager } = await server.admin()
    const options = { stream: 'NEW', subject: 'new', maxMessages: 10, maxBytes: 1000, replicas: undefined }
    const { created } = await new NatsStream(options).inform({ manager } as Linked)
    let asked = 0
    const info = async (name: string) => {
      const info = await manager.streams.info(name)
      return asked++ < 3 ? { ...info, created: '0001-01-01T00:00:00Z' } : info
    }
    const early = { manager: { streams: { info } } } as unknown as Linked
    t.equal((await new NatsStream(options).inform(early)).created, created)
    t.equal(asked, 4)
  }
)

t.test('an unsuitable stream is refused, and the error says what differs', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  const { manager } = await server.admin()
  await manager.streams.add({ name: 'ORIGIN', subjects: ['origin'] })
  const cases: [Partial<StreamConfig>, RegExp][] = [
    [{ subjects: ['other', 'pylon-sse.*.x'] }, /its subjects are 'other', 'pylon-sse.\*.x', not 'pylon-sse.events'/],
    [{ discard: 'new' as never }, /its discard policy is 'new', not 'old'/],
    [{ retention: 'workqueue' as never }, /its retention is 'workqueue', not 'limits'/],
    [{ retention: 'interest' as never, discard: 'new' as never }, /its retention is 'interest'.*; its discard policy/],
    [{ max_msgs: -1 }, /it has no limits/],
    [{ no_ack: true }, /it does not acknowledge/],
    [{ subjects: [], mirror: { name: 'ORIGIN' } }, /it is a mirror/]
  ]
  for (const [config, wrong] of cases) {
    await addStream(server, config)
    const error: Error & { code?: string } = await join(over(t, server)).then(
      () => new Error('it has joined'),
      (error) => error
    )
    t.match(error, { code: UNAVAILABLE, message: wrong })
    t.match(
      error.message,
      `nats at nats://127.0.0.1:${server.port} cannot be used: its stream PYLON_SSE does not serve`
    )
    await manager.streams.delete('PYLON_SSE')
  }
  await manager.streams.add({ name: 'THIEF', subjects: ['pylon-sse.>'] })
  await t.rejects(join(over(t, server)), { code: UNAVAILABLE, message: /subjects overlap/ })
  const from = performance.now()
  while ((await server.connectionNames()).includes('pylon-sse') && performance.now() - from < 10_000) await sleep(20)
  t.strictSame(await server.connectionNames(), ['test'], 'whoever has not joined leaves no connection behind')
})

t.test('a stream with other bounds and subjects can be used, and foreign messages in it are ignored', async (t) => {
  const server = await startNats(t)
  if (server === undefined) return
  await addStream(server, { subjects: ['x.y', 'pylon-sse.>'], max_msgs: -1, max_age: 3600e9 })
  const { connection } = await server.admin()
  const backplane = over(t, server)
  const { listener } = await join(backplane)
  for (const text of ['1', '2']) {
    await backplane.publish(parcels(text))
    connection.publish('x.y', 'not ours')
    connection.publish('pylon-sse.events', 'nor is this')
    connection.publish('pylon-sse.events', 'pylon-sse 1 {]\n')
    connection.publish('pylon-sse.events')
    connection.publish('pylon-sse.other', 'not ours')
    await connection.flush()
  }
  await backplane.publish(parcels('3'))
  t.strictSame(bodiesOf(await listener.waitForEntries(3)), ['1', '2', '3'])
  t.equal(listener.gaps.length, 0)
  const late = await join(over(t, server))
  t.strictSame(bodiesOf(late.history), ['1', '2', '3'])
})
