import t from 'tap'
import { asUser, currentUser, setup } from '../kit/current-user.js'
import { deferred } from '../kit/deferred.js'
import { injectClient } from '../kit/inject-client.js'
import { serve } from '../kit/server.js'

/** How a stream ends, and what it is asked for with. */
const ENDINGS = ['kicked', 'left', 'aborted', 'shutdown', 'aged', 'onConnect threw'] as const

for (const transport of ['http', 'h2c'] as const) {
  for (const ending of ENDINGS) {
    t.test(`request.signal aborts, once, in its own context: over ${transport}, ${ending}`, async (t) => {
      const aborted = deferred<string>()
      let times = 0
      const onAbort = () => {
        times++
        aborted.resolve(currentUser())
      }
      let early!: AbortSignal
      const s = await serve(t, {
        transport,
        sse: {
          ...(ending === 'aged' && { maxConnectionAge: 50 }),
          onConnect: (_client, request) => {
            t.equal(request.signal, early)
            t.notOk(request.signal.aborted)
            if (ending === 'onConnect threw') throw new Error('no')
          }
        },
        setup: async (app) => {
          await setup(app)
          app.addHook('preHandler', async (request) => {
            if (request.url !== '/events') return
            early = request.signal
            early.addEventListener('abort', onAbort)
          })
          app.get('/kick', async () => ({ kicked: app.sse.disconnect(() => true) }))
        }
      })
      const reader = await (transport === 'http' ? s.connect : s.connectH2)(asUser('own'))
      if (ending === 'kicked') await s.app.inject({ url: '/kick', ...asUser('admin') })
      else if (ending === 'left') await reader.close()
      else if (ending === 'aborted') await reader.abort()
      else if (ending === 'shutdown') await s.app.close()
      t.equal(await aborted.promise, 'own')
      t.ok(early.aborted)
      await s.app.close()
      t.equal(times, 1)
    })
  }
}

t.test('request.signal that is first asked for in onConnect aborts in the context of its request', async (t) => {
  const aborted = deferred<string>()
  const s = await serve(t, {
    sse: {
      onConnect: async (_client, request) => {
        await null
        request.signal.addEventListener('abort', () => aborted.resolve(currentUser()))
      }
    },
    setup: async (app) => {
      await setup(app)
      app.get('/kick', async () => ({ kicked: app.sse.disconnect(() => true) }))
    }
  })
  const reader = await s.connect(asUser('own'))
  await s.app.inject({ url: '/kick', ...asUser('admin') })
  await reader.waitForEnd()
  t.equal(await aborted.promise, 'own')
})

t.test('request.signal aborts for a client that leaves before its head, behind another request', async (t) => {
  const asked = deferred()
  const aborted = deferred()
  const s = await serve(t, {
    setup: (app) => {
      app.get('/never', (_request, reply) => void reply.hijack())
      app.addHook('preHandler', async (request) => {
        if (request.url !== '/events') return
        request.signal.addEventListener('abort', () => aborted.resolve())
        asked.resolve()
      })
    }
  })
  const reader = await s.connect({ before: [{ path: '/never' }], waitForHead: false })
  await asked.promise
  await reader.close()
  await aborted.promise
  t.equal(s.app.sse.stats().accepted, 0)
})

t.test('request.signal aborts for a client that leaves while authentication is running', async (t) => {
  const asked = deferred()
  const answer = deferred()
  const aborted = deferred()
  const s = await serve(t, {
    sse: {
      authorizeTopics: async (request) => {
        request.signal.addEventListener('abort', () => aborted.resolve())
        request.raw.socket.once('close', answer.resolve)
        asked.resolve()
        await answer.promise
        return true
      }
    }
  })
  const reader = await s.connect({ path: '/events?topic=a', waitForHead: false })
  await asked.promise
  await reader.close()
  await aborted.promise
  t.equal(s.app.sse.stats().accepted, 0)
})

t.test('request.signal aborts through inject, too', async (t) => {
  const signals: AbortSignal[] = []
  const aborted = deferred()
  const s = await serve(t, {
    sse: {
      onConnect: (_client, request) => {
        signals.push(request.signal)
        request.signal.addEventListener('abort', () => aborted.resolve())
      }
    }
  })
  const client = await injectClient(s.app)
  s.app.sse.disconnect(() => true)
  await client.waitForEnd()
  await aborted.promise
  t.equal(signals.length, 1)
})

t.test('a stream begins and ends with a Fastify that has no request.signal', async (t) => {
  const ended = deferred<string>()
  const s = await serve(t, {
    sse: { onDisconnect: (_client, reason) => ended.resolve(reason) },
    setup: (app) => {
      // As in Fastify 5.0.
      app.addHook('onRequest', async (request) => {
        Object.setPrototypeOf(request, Object.create(Object.getPrototypeOf(request), { signal: { value: undefined } }))
      })
    }
  })
  const reader = await s.connect()
  t.equal(s.app.sse.stats().connected, 1)
  await reader.close()
  t.equal(await ended.promise, 'disconnected')
})
