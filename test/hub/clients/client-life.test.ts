import t from 'tap'
import { MemoryEngine, memoryBackplane } from '../../../lib/backplane/memory.js'
import { type SseClient, StreamEndedError } from '../../../lib/index.js'
import { deferred, gate } from '../../kit/deferred.js'
import { LogLines } from '../../kit/log-lines.js'
import { startProcess } from '../../kit/processes.js'
import { serve } from '../../kit/server.js'

t.test('onConnect knows whether a client has resumed from a valid cursor', async (t) => {
  const resumed: boolean[] = []
  const s = await serve(t, {
    sse: { history: { events: 2 }, onConnect: (client) => void resumed.push(client.resumed) }
  })
  const first = await s.connect()
  const old = (await first.waitForId())!
  for (let i = 0; i < 3; i++) s.app.sse.broadcast(i)
  const [, , newest] = await first.take(3)
  await s.connect({ lastEventId: newest!.id! })
  await s.connect({ query: { lastEventId: newest!.id! } })
  await s.connect({ lastEventId: old })
  await s.connect({ lastEventId: 'never-given' })
  t.strictSame(resumed, [false, true, true, false, false])
})

t.test('a client that misses events while onConnect runs is no longer resumed', async (t) => {
  const held = gate()
  const ready = deferred<SseClient>()
  const engine = new MemoryEngine()
  const inner = memoryBackplane(engine, { optional: true })
  let isThere = false
  const s = await startProcess(
    t,
    { ...inner, join: async (...args) => (isThere ? inner.join(...args) : Promise.reject(new Error('not there'))) },
    {
      onConnect: async (client) => {
        ready.resolve(client)
        await held.pass()
      }
    }
  )
  const first = await s.connect()
  const client = await ready.promise
  const again = await s.connect({ lastEventId: await first.waitForId() })
  const [, second] = s.app.sse.clients
  t.equal(client.resumed, false)
  t.equal(second!.resumed, true)
  isThere = true
  await s.log.waitFor(/has been joined/, 10_000)
  t.equal(second!.resumed, false)
  await held.open()
  t.match((await again.next()).event, 'resync')
})

t.test('client.signal aborts when the stream ends, with the reason', async (t) => {
  const reasons: Record<string, unknown> = {}
  const ended: string[] = []
  const s = await serve(t, {
    sse: {
      onConnect: (client, { url }) => {
        const { signal } = client
        t.equal(client.signal, signal)
        t.notOk(signal.aborted)
        signal.addEventListener('abort', () => {
          reasons[url] = signal.reason
          ended.push('signal')
        })
      },
      onDisconnect: () => void ended.push('onDisconnect')
    }
  })
  const left = await s.connect({ path: '/events?left' })
  const closed = await s.connect({ path: '/events?closed' })
  const [, second] = s.app.sse.clients
  second!.close()
  await closed.waitForEnd()
  await left.close()
  while (ended.length < 4) await new Promise(setImmediate)
  t.strictSame(ended, ['signal', 'onDisconnect', 'signal', 'onDisconnect'])
  t.match(reasons['/events?closed'], { reason: 'closed', name: 'AbortError', code: 'PYLON_SSE_ERR_STREAM_ENDED' })
  t.match(reasons['/events?left'], { reason: 'disconnected' })
  t.type(reasons['/events?left'], StreamEndedError)
})

t.test('the signal of a client whose stream has ended is aborted, also on first use', async (t) => {
  const s = await serve(t)
  const stream = await s.connect()
  const [client] = s.app.sse.clients
  client!.close()
  t.match(client!.signal, { aborted: true, reason: { reason: 'closed' } })
  await stream.waitForEnd()
})

t.test('app.sse.client finds a client that is connected, by its id', async (t) => {
  const s = await serve(t)
  const stream = await s.connect()
  const { client: id } = await stream.greeting()
  const client = s.app.sse.client(id)
  t.equal(client?.id, id)
  t.equal(s.app.sse.client('another'), undefined)
  client!.close()
  t.equal(s.app.sse.client(id), undefined)
  // One that waits for its turn on its connection is not connected yet.
  const { client: first } = await (await s.connect({ before: [] })).greeting()
  t.ok(s.app.sse.client(first))
})

t.test('log lines about a client carry the id of its request', async (t) => {
  const log = new LogLines()
  const s = await serve(t, {
    fastify: { logger: { level: 'debug', stream: log }, genReqId: ({ url }) => `id of ${url}` },
    sse: {
      onDisconnect: () => {
        throw new Error('the app has failed')
      }
    }
  })
  const stream = await s.connect({ path: '/events?a' })
  await stream.close()
  for (const line of ['SSE: client connected', 'SSE: client disconnected', 'SSE: onDisconnect failed'])
    t.match(await log.waitFor(line), { reqId: 'id of /events?a', sseClient: { id: String } })
})
