import type { onSendHookHandler } from 'fastify'
import type { Test } from 'tap'
import t from 'tap'
import pylonSse from '../../lib/index.js'
import { Connections } from '../kit/connections.js'
import { deferred, gate } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { withTimeout } from '../kit/patience.js'
import { serve } from '../kit/server.js'

/** An app whose `/slow` answers when the gate opens. */
async function serveSlowly(t: Test, onConnect = () => {}) {
  const slow = gate()
  const behind = deferred()
  const admitted = deferred()
  const closing = deferred()
  const s = await serve(t, {
    sse: false,
    setup: async (app) => {
      app.get('/slow', async () => {
        await slow.pass()
        return 'slow'
      })
      app.get('/behind', async () => {
        behind.resolve()
        return 'behind'
      })
      // The last of what happens to a request before it becomes a client.
      const onSend: onSendHookHandler = (_request, _reply, payload, done) => {
        admitted.resolve()
        done(null, payload)
      }
      await app.register(pylonSse, { maxClientsPerIp: 1, onConnect, route: { onSend } })
      // A turn later the server listens no more.
      app.addHook('preClose', async () => void setImmediate(closing.resolve))
    }
  })
  return {
    s,
    slow,
    /** A stream has come that has not its turn yet. */
    admitted: () => withTimeout(admitted.promise, 'the stream behind /slow'),
    /** `/behind` has been asked for. */
    behind: () => withTimeout(behind.promise, '/behind'),
    /** The app closes, and waits for `/slow` alone. */
    closing: () => withTimeout(closing.promise, 'the app to close')
  }
}

const BEHIND_SLOW = { before: [{ path: '/slow' }], waitForHead: false }

t.test('requests pipelined on one connection are answered in order, each by its own bytes', async (t) => {
  const { s, slow, admitted, behind } = await serveSlowly(t)
  const client = await s.connect({ ...BEHIND_SLOW, keepRaw: true })
  const [before] = client.pipelined
  const after = client.request({ path: '/behind' })
  await admitted()
  await behind()
  s.app.sse.broadcast('while it waited')
  t.equal(s.app.sse.clientCount, 0, 'who waits for his turn is not connected')
  t.equal(client.raw.length, 0)
  slow.open()
  await before!.waitForEnd()
  t.equal(before!.body, 'slow')
  t.equal((await client.next()).data, '"while it waited"')
  t.equal(s.app.sse.clientCount, 1)
  s.app.sse.broadcast('live')
  t.equal((await client.next()).data, '"live"')
  t.throws(() => after.status, 'the answer behind waits for the end of the stream')
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  await after.waitForEnd()
  t.equal(after.body, 'behind')
  const next = client.request({ path: '/behind' })
  await next.waitForEnd()
  t.equal(next.body, 'behind', 'the connection goes on to be used')
})

t.test('a pipelined stream starts when the one before has ended', async (t) => {
  const s = await serve(t)
  const client = await s.connect()
  const behind = client.request({})
  const plain = client.request({ method: 'HEAD' })
  s.app.sse.broadcast(1)
  await client.next()
  for (const each of s.app.sse.clients) each.close()
  await client.waitForEnd()
  await behind.head()
  s.app.sse.broadcast(2)
  t.match(await behind.until(({ data }) => data === '2'), { data: '2' })
  t.equal(client.events.length, 1)
  for (const each of s.app.sse.clients) each.close()
  await behind.waitForEnd()
  await plain.waitForEnd()
  t.equal(plain.status, 200)
})

t.test('a connection cut while its stream waits for its turn leaves nothing behind', async (t) => {
  for (const cut of ['close', 'abort'] as const) {
    let connected = 0
    const { s, slow, admitted } = await serveSlowly(t, () => void connected++)
    const connections = new Connections(s.app)
    const client = await s.connect(BEHIND_SLOW)
    await admitted()
    await client[cut]()
    await connections.waitForNumber(0)
    const next = await s.connect()
    t.equal(next.status, 200, `${cut}: its slot is free`)
    slow.open()
    s.app.sse.broadcast('an event')
    await next.next()
    t.strictSame([s.app.sse.clientCount, s.app.sse.stats().accepted, connected], [1, 1, 1], `${cut}: it was no client`)
  }
})

t.test('a pipelined stream that has not started when the app closes is told when to reconnect', async (t) => {
  const { s, slow, admitted, closing } = await serveSlowly(t)
  const client = await s.connect(BEHIND_SLOW)
  await admitted()
  const closed = s.app.close()
  await closing()
  slow.open()
  await client.pipelined[0]!.waitForEnd()
  t.equal(client.pipelined[0]!.body, 'slow')
  await client.waitForEnd()
  t.match(client.body, /^retry: \d+\n+$/)
  await client.waitForClose()
  await withTimeout(closed, 'app.close()')
  t.equal(s.app.sse.stats().accepted, 0)
})

t.test(
  'a stream that waits for its turn when the app closes, and can be told nothing, is cut and logged',
  async (t) => {
    const log = new LogLines()
    const slow = gate()
    const admitted = deferred()
    const closing = deferred()
    const s = await serve(t, {
      sse: false,
      fastify: { logger: { level: 'error', stream: log } },
      setup: async (app) => {
        app.get('/slow', async () => {
          await slow.pass()
          return 'slow'
        })
        app.addHook('onRequest', async ({ url }, { raw }) => {
          if (url !== '/events') return
          raw.writeHead = () => {
            throw new Error('no head')
          }
        })
        const onSend: onSendHookHandler = (_request, _reply, payload, done) => {
          admitted.resolve()
          done(null, payload)
        }
        await app.register(pylonSse, { route: { onSend } })
        app.addHook('preClose', async () => void setImmediate(closing.resolve))
      }
    })
    const client = await s.connect(BEHIND_SLOW)
    await admitted.promise
    const closed = s.app.close()
    await closing.promise
    slow.open()
    await client.waitForClose()
    await withTimeout(closed, 'app.close()')
    t.match(await log.waitFor(/cannot be written/), { err: { message: 'no head' } })
    t.equal(client.body, '')
  }
)
