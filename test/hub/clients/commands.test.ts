import t, { type Test } from 'tap'
import { MemoryEngine, memoryBackplane } from '../../../lib/backplane/memory.js'
import { LogLines } from '../../kit/log-lines.js'
import { type Process, startProcess } from '../../kit/processes.js'
import { serve } from '../../kit/server.js'

/** Two apps that share a log, as two processes do, with one user each, and one who is on both. */
async function startTwo(t: Test) {
  const engine = new MemoryEngine()
  const [here, there] = [
    await startProcess(t, memoryBackplane(engine), { maxTopics: 2 }),
    await startProcess(t, memoryBackplane(engine), { maxTopics: 2 })
  ]
  const connect = ({ connect }: Process, user: string) => connect({ headers: { 'x-user': user } })
  return {
    here,
    there,
    ann: await connect(here, 'ann'),
    annThere: await connect(there, 'ann'),
    bob: await connect(there, 'bob')
  }
}

t.test('a selector subscribes clients on all processes, in one order with what is broadcast', async (t) => {
  const { here, there, ann, annThere, bob } = await startTwo(t)
  here.app.sse.broadcast('before', { topic: 'room' })
  t.equal(here.app.sse.subscribe({ state: { user: 'ann' } }, 'room'), 1, 'the number here')
  here.app.sse.broadcast('in', { topic: 'room' })
  t.equal((await ann.next()).data, '"in"')
  t.equal((await annThere.next()).data, '"in"')

  t.equal(there.app.sse.unsubscribe({ state: { user: 'ann' } }, 'room'), 1)
  there.app.sse.broadcast('out', { topic: 'room' })
  there.app.sse.broadcast('for everyone')
  for (const client of [ann, annThere, bob]) t.equal((await client.next()).data, '"for everyone"')
})

t.test('a selector sends an event to clients on all processes, once, after what was broadcast before', async (t) => {
  const { here, ann, annThere, bob } = await startTwo(t)
  here.app.sse.broadcast(1)
  t.equal(here.app.sse.send({ state: { user: 'ann' } }, { n: 2 }, { event: 'note' }), 1)
  here.app.sse.broadcast(3)
  for (const client of [ann, annThere]) {
    const [one, two, three] = await client.take(3)
    t.strictSame([one!.data, two!.data, three!.data], ['1', '{"n":2}', '3'])
    t.match(two, { event: 'note' })
  }
  t.strictSame(
    (await bob.take(2)).map(({ data }) => data),
    ['1', '3']
  )
})

t.test('a page can change its topics by a request of its own', async (t) => {
  const s = await serve(t, {
    setup: (app) =>
      app.put('/clients/:id/topics/:topic', async (request, reply) => {
        const { id, topic } = request.params as { id: string; topic: string }
        return reply.code(app.sse.subscribe({ id }, topic) > 0 ? 204 : 404).send()
      })
  })
  const client = await s.connect()
  const { client: id } = await client.greeting()
  t.equal((await fetch(`${s.url}/clients/${id}/topics/news`, { method: 'PUT' })).status, 204)
  t.equal((await fetch(`${s.url}/clients/nobody/topics/news`, { method: 'PUT' })).status, 404)
  s.app.sse.broadcast('hot', { topic: 'news' })
  t.equal((await client.next()).data, '"hot"')
})

t.test('a function selects clients of this process', async (t) => {
  const { here, there, ann, bob } = await startTwo(t)
  t.equal(
    here.app.sse.subscribe(() => true, 'room'),
    1
  )
  t.equal(
    there.app.sse.send(({ state }) => state.user === 'bob', 'hello'),
    1
  )
  t.equal((await bob.next()).data, '"hello"')
  there.app.sse.broadcast('in', { topic: 'room' })
  t.equal((await ann.next()).data, '"in"')
  t.equal(
    here.app.sse.unsubscribe(() => true, 'room'),
    1
  )
  t.throws(() => here.app.sse.send((async () => true) as never, 1), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
})

t.test('a client at maxTopics is skipped, and the others are subscribed', async (t) => {
  const log = new LogLines()
  const s = await serve(t, {
    fastify: { logger: { level: 'warn', stream: log } },
    sse: { maxTopics: 1, authorizeTopics: () => true }
  })
  await s.connect({ query: { topic: 'a' } })
  const other = await s.connect()
  t.equal(
    s.app.sse.subscribe(() => true, 'b'),
    1
  )
  s.app.sse.broadcast('hot', { topic: 'b' })
  t.equal((await other.next()).data, '"hot"')
  t.match(await log.waitFor(/cannot be subscribed/), { topic: 'b', reqId: 'req-1' })
})

t.test('an invalid topic, event or selector is refused at once', async (t) => {
  const { app } = await serve(t)
  const nobody = { id: 'x' }
  t.throws(() => app.sse.subscribe(nobody, 'a\nb'), { code: 'PYLON_SSE_ERR_INVALID_TOPIC' })
  t.throws(() => app.sse.unsubscribe(nobody, 7 as never), { code: 'PYLON_SSE_ERR_INVALID_TOPIC' })
  t.throws(() => app.sse.send(nobody, undefined), { code: 'PYLON_SSE_ERR_UNSERIALIZABLE' })
  t.throws(() => app.sse.send(nobody, 1, { event: 'resync' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  t.throws(() => app.sse.send({} as never, 1), { code: 'PYLON_SSE_ERR_INVALID_SELECTOR' })
  t.equal(app.sse.send(nobody, 1), 0)
})
