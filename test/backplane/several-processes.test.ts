import type { IncomingHttpHeaders } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import { type Process, startProcess } from '../kit/processes.js'
import { data, page, startTwo } from '../kit/two-processes.js'

t.test('events broadcast on one process arrive on all, with the same id and in the same order', async (t) => {
  const [near, far] = await startTwo(t)
  const clients = [await near.connect(), await far.connect()]
  near.app.sse.broadcast(1, { event: 'named' })
  near.app.sse.broadcast(2, { id: 'own' })
  const first = await Promise.all(clients.map((client) => client.take(2)))
  far.app.sse.broadcastMessage('three')
  const second = await Promise.all(clients.map((client) => client.take(1)))
  for (const [i, here] of first.entries()) {
    t.match(here, [
      { event: 'named', data: '1' },
      { id: 'own', data: '2' }
    ])
    t.match(second[i], [{ event: undefined, data: 'three' }])
  }
  t.strictSame(clients[0]!.events, clients[1]!.events)
})

t.test('publish resolves with the id that all processes give the event', async (t) => {
  const [near, far] = await startTwo(t)
  const client = await far.connect()
  const ids = [
    await near.app.sse.publish(1),
    await far.app.sse.publish(2),
    await near.app.sse.publish(3, { id: 'own' })
  ]
  t.strictSame(
    (await client.take(3)).map(({ id }) => id),
    ids
  )
  t.equal(ids[2], 'own')
})

t.test('an event id of one process is valid on another, and on one started later', async (t) => {
  const engine = new MemoryEngine()
  const start = () => startProcess(t, memoryBackplane(engine))
  const [near, far] = [await start(), await start()]
  const client = await near.connect()
  for (const n of [1, 2, 3]) await near.app.sse.publish(n)
  const [first] = await client.take(3)
  await client.close()
  await far.app.sse.publish(4)
  for (const process of [far, near, await start()]) {
    const resumed = await process.connect({ lastEventId: first!.id! })
    t.strictSame(await data(resumed, 3), ['2', '3', '4'])
  }
})

t.test('topics and except apply on all processes', async (t) => {
  const [near, far] = await startTwo(t)
  const [subscriber, everyone] = [await far.connect({ query: { topic: 'a' } }), await far.connect()]
  const [one] = [...far.app.sse.clients].filter(({ topics }) => topics.includes('a'))
  near.app.sse.broadcast('of a', { topic: 'a' })
  near.app.sse.broadcast('not for one', { except: one!.id })
  near.app.sse.broadcast('end')
  t.strictSame(await data(subscriber, 2), ['"of a"', '"end"'])
  t.strictSame(await data(everyone, 2), ['"not for one"', '"end"'])
})

t.test('pages are the same on all processes, and a waiting one gets events of any process', async (t) => {
  const [near, far] = await startTwo(t)
  await near.app.sse.publish({ n: 1 })
  await turn()
  const { body } = await page(far)
  t.match(body.events, [{ data: { n: 1 } }])
  t.strictSame((await page(near)).body, body)
  const waiting = page(far, { since: body.cursor, wait: '10000' })
  await near.app.sse.publish({ n: 2 })
  t.match((await waiting).body.events, [{ data: { n: 2 } }])
})

t.test('a request repeated on another process publishes once', async (t) => {
  const [near, far] = await startTwo(t)
  const client = await far.connect()
  const post = async ({ url }: Process, events: object[]) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'order-7' }
    const response = await fetch(`${url}/events`, { method: 'POST', headers, body: JSON.stringify(events) })
    return { status: response.status, body: (await response.json()) as { ids: string[] } }
  }
  const events = [{ data: 1 }, { data: 2 }]
  const answers = await Promise.all([post(near, events), post(far, events), post(far, events)])
  for (const answer of [...answers, await post(near, events)]) t.strictSame(answer, answers[0])
  t.equal(answers[0]!.status, 202)
  t.equal((await post(far, [{ data: 3 }])).status, 422, 'with other events the key is refused')
  await near.app.sse.publish('end')
  t.strictSame(await data(client, 3), ['1', '2', '"end"'])
})

t.test('an id that is taken on one process is taken on all', async (t) => {
  const [near, far] = await startTwo(t)
  const results = await Promise.allSettled([near, far].map(({ app }) => app.sse.publish(1, { id: 'own' })))
  t.strictSame(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
  for (const { app } of [near, far]) {
    await t.rejects(app.sse.publish(1, { id: 'own' }), { code: 'PYLON_SSE_ERR_DUPLICATE_ID' })
  }
  const taken = await near.app.sse.publish(2)
  await t.rejects(far.app.sse.publish(1, { id: taken }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
})

t.test('a user is disconnected on whichever process, and can be told to stay away', async (t) => {
  const asUser = (user: string): { headers: IncomingHttpHeaders & Record<string, string> } => ({
    headers: { 'x-user': user }
  })
  const [near, far] = await startTwo(t)
  const [here, there] = [await near.connect(asUser('ann')), await far.connect(asUser('ann'))]
  const other = await far.connect(asUser('eve'))
  t.equal(near.app.sse.disconnect({ state: { user: 'ann' } }, { reconnect: false }), 1, 'as many as were here')
  await Promise.all([here.waitForEnd(), there.waitForEnd()])
  t.equal(there.lastEventId, here.lastEventId)
  t.equal((await far.connect({ lastEventId: there.lastEventId })).status, 204, 'it is told not to come back')
  await near.app.sse.publish('still here')
  t.strictSame(await data(other, 1), ['"still here"'])
  // @ts-expect-error it names no field
  t.throws(() => near.app.sse.disconnect({}), { code: 'PYLON_SSE_ERR_INVALID_SELECTOR' })
  t.equal(
    far.app.sse.disconnect(() => true),
    1,
    'a function picks on its own process'
  )
})

t.test('events that onDisconnect publishes while an app closes reach the other processes', async (t) => {
  const engine = new MemoryEngine()
  const near = await startProcess(t, memoryBackplane(engine))
  const leaving = await startProcess(t, memoryBackplane(engine), {
    onDisconnect: (client) => leaving.app.sse.broadcast(`${client.state.user} has left`)
  })
  const client = await near.connect()
  await leaving.connect({ headers: { 'x-user': 'ann' } })
  await leaving.app.close()
  t.strictSame(await data(client, 1), ['"ann has left"'])
  await t.rejects(leaving.app.sse.publish(1), { code: 'PYLON_SSE_ERR_CLOSED' })
})
