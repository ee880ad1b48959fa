import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { memoryBackplane } from '../../lib/backplane/memory.js'
import { redisStreams } from '../../lib/backplane/redis/redis-streams.js'
import { type PublisherOptions, publisher } from '../../lib/entries/publisher.js'
import { plainEnvironment } from '../kit/plain-environment.js'
import { startProcess, waitForEvents } from '../kit/processes.js'
import { freePort, startRedis } from '../kit/redis-server.js'

const run = promisify(execFile)
const FIXTURES = 'test/fixtures'

/** An app over a Redis of its own, and a client of it. */
async function startApp(t: Test) {
  const server = await startRedis(t)
  if (server === undefined) return undefined
  const process = await startProcess(t, redisStreams({ url: server.url }))
  const client = await process.connect({ query: { topic: '**' } })
  return { server, process, client }
}

t.test('a script without an app can publish to the clients of one, gets the ids, and exits', async (t) => {
  const app = await startApp(t)
  if (app === undefined) return
  const { stdout } = await run(process.execPath, [`${FIXTURES}/publish.js`, app.server.url], {
    env: plainEnvironment()
  })
  await waitForEvents([app.client], 3)
  t.match(app.client.events, [
    { event: 'report.done', data: '{"n":1}' },
    { event: 'report.done', data: '{"n":2}' },
    { event: 'report.done', data: '{"n":3}' }
  ])
  t.strictSame(
    app.client.events.map(({ id }) => id),
    JSON.parse(stdout)
  )
})

t.test('a publisher waits for an engine that is out of reach, keeps the order, and says why it gives up', async (t) => {
  const app = await startApp(t)
  if (app === undefined) return
  const { server, process, client } = app
  const sse = publisher(redisStreams({ url: server.url, publishTimeout: 60_000 }))
  t.teardown(() => sse.close())
  const first = await sse.publish('first', { id: 'own-1' })
  t.equal(first, 'own-1')
  await server.kill9()
  const waiting = [sse.publish('second'), sse.publish('third', { id: 'own-3' })]
  await sleep(100)
  await server.start()
  t.equal((await Promise.all(waiting))[1], 'own-3')
  await waitForEvents([client], 3)
  t.strictSame(
    client.events.map(({ data }) => data),
    ['"first"', '"second"', '"third"']
  )
  await t.rejects(sse.publish('again', { id: 'own-1' }), { code: 'PYLON_SSE_ERR_DUPLICATE_ID' })
  t.equal(process.app.sse.stats().backplane!.foreign, 0)

  const hasty = publisher(redisStreams({ url: server.url, publishTimeout: 2000 }))
  t.teardown(() => hasty.close())
  await hasty.publish('fourth')
  await server.kill9()
  await t.rejects(hasty.publish('lost'), { code: 'PYLON_SSE_ERR_BACKPLANE_TIMEOUT' })

  const lonely = publisher(redisStreams({ url: `redis://127.0.0.1:${await freePort()}`, publishTimeout: 600 }))
  await t.rejects(lonely.publish(1), { code: 'PYLON_SSE_ERR_BACKPLANE_UNAVAILABLE', message: /refused/ })
  await lonely.close()
})

t.test('a publisher that is closed sends what it has accepted, and accepts no more', async (t) => {
  const backplane = memoryBackplane()
  const sse = publisher(backplane)
  const last = sse.publish({ n: 1 })
  await Promise.all([sse.close(), sse.close()])
  t.type(await last, 'string')
  await t.rejects(sse.publish({ n: 2 }), { code: 'PYLON_SSE_ERR_CLOSED' })
})

t.test('invalid events and options are refused', async (t) => {
  const sse = publisher(memoryBackplane(), { serialize: String, maxEventBytes: 100, maxTopicBytes: 10 })
  t.teardown(() => sse.close())
  const id = await sse.publish('as text')
  const [, second] = [sse.publish('one', { id: 'own' }), sse.publish('other', { id: 'own' })]
  await t.rejects(second, { code: 'PYLON_SSE_ERR_DUPLICATE_ID' }, 'found where the engine has both')
  await t.rejects(sse.publish('x', { id }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  await t.rejects(sse.publish('x', { event: 'a\nb' }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  await t.rejects(sse.publish('x', { topic: 'a'.repeat(11) }), { code: 'PYLON_SSE_ERR_INVALID_EVENT' })
  await t.rejects(sse.publish('x'.repeat(101)), { code: 'PYLON_SSE_ERR_EVENT_TOO_LARGE' })
  for (const wrong of [{ serialize: 1 }, { maxEventBytes: 0 }, { logger: null }, { seralize: String }])
    t.throws(() => publisher(memoryBackplane(), wrong as unknown as PublisherOptions), {
      code: 'PYLON_SSE_ERR_INVALID_OPTION'
    })
  t.throws(() => publisher(undefined as never), { code: 'PYLON_SSE_ERR_INVALID_OPTION' })
})
