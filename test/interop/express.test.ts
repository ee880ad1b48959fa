import type { IncomingMessage, ServerResponse } from 'node:http'
import fastifyExpress from '@fastify/express'
import t from 'tap'
import type { DisconnectReason, SseClient } from '../../lib/index.js'
import { deferred } from '../kit/deferred.js'
import { LogLines } from '../kit/log-lines.js'
import { type ServeOptions, serve } from '../kit/server.js'

/** With a middleware that patches what those of Express usually patch. */
function withExpress(options: ServeOptions = {}): ServeOptions {
  return {
    ...options,
    setup: async (app) => {
      await app.register(fastifyExpress)
      app.use((_req: IncomingMessage, res: ServerResponse, next: () => void) => {
        res.setHeader('x-express', 'yes')
        next()
      })
      await options.setup?.(app)
    }
  }
}

for (const patched of [false, true]) {
  const how = patched ? ' with a patched write' : ''
  const setup: NonNullable<ServeOptions['setup']> = (app) => {
    if (!patched) return
    app.addHook('onRequest', async (_request, { raw }) => {
      const { write } = raw
      raw.write = ((...args: Parameters<typeof write>) => write.apply(raw, args)) as typeof write
    })
  }

  t.test(`beside @fastify/express${how} a stream is disconnected, and its response is over`, async (t) => {
    const responded = deferred<number>()
    const reasons: DisconnectReason[] = []
    const s = await serve(
      t,
      withExpress({
        sse: { onDisconnect: (_client, reason) => void reasons.push(reason) },
        setup: async (app) => {
          await setup(app)
          app.addHook('onResponse', async (_request, reply) => responded.resolve(reply.statusCode))
        }
      })
    )
    const reader = await s.connect()
    t.equal(reader.headers.get('x-express'), 'yes')
    s.app.sse.broadcast(1)
    t.equal((await reader.next()).data, '1')
    t.equal(
      s.app.sse.disconnect(() => true),
      1
    )
    await reader.waitForEnd()
    t.equal(await responded.promise, 200)
    t.strictSame(reasons, ['closed'])
  })

  t.test(`beside @fastify/express${how} onResponse runs when a client leaves`, async (t) => {
    const responded = deferred<number>()
    const s = await serve(
      t,
      withExpress({
        setup: async (app) => {
          await setup(app)
          app.addHook('onResponse', async (_request, reply) => responded.resolve(reply.statusCode))
        }
      })
    )
    await (await s.connect()).close()
    t.equal(await responded.promise, 200)
    t.equal(s.app.sse.clientCount, 0)
  })

  t.test(`beside @fastify/express${how} age and expiry end streams, and the process lives on`, async (t) => {
    const onConnect = (client: SseClient) => {
      client.expiresAt = new Date(Date.now() + 20)
    }
    // Servers of their own, since on a slow machine a client would age before it is seen to expire.
    const ageing = await serve(t, withExpress({ setup, sse: { maxConnectionAge: 100 } }))
    const expiring = await serve(t, withExpress({ setup, sse: { onConnect } }))
    for (const { connect } of [ageing, expiring]) await (await connect()).waitForEnd()
    t.match(ageing.app.sse.stats(), { disconnects: { aged: 1, expired: 0 } })
    t.match(expiring.app.sse.stats(), { disconnects: { aged: 0, expired: 1 } })
  })

  t.test(`beside @fastify/express${how} app.close() ends`, async (t) => {
    const s = await serve(t, withExpress({ setup }))
    const readers = [await s.connect(), await s.connect()]
    await s.app.close()
    for (const reader of readers) await reader.waitForEnd()
    t.match(s.app.sse.stats(), { connected: 0, disconnects: { shutdown: 2 } })
  })
}

t.test('closing ends also beside a client whose response throws whatever is done to it', async (t) => {
  const log = new LogLines()
  const gone: SseClient[] = []
  const s = await serve(t, {
    fastify: { logger: { level: 'error', stream: log } },
    sse: { onDisconnect: (client) => void gone.push(client) },
    setup: (app) => {
      app.addHook('onRequest', async ({ headers }, { raw }) => {
        if (!('x-misdeed' in headers)) return
        raw.end = () => {
          throw new Error('no end')
        }
      })
    }
  })
  const readers = [await s.connect(), await s.connect({ headers: { 'x-misdeed': '1' } }), await s.connect()]
  await s.app.close()
  await readers[0]!.waitForEnd()
  await readers[1]!.waitForClose()
  await readers[2]!.waitForEnd()
  t.equal(gone.length, 3)
  t.match(await log.waitFor(/cannot be written/), { err: { message: 'no end' } })
})

t.test('Isolated: a client whose response throws on a write is cut, logged and counted, alone', async (t) => {
  const log = new LogLines()
  const s = await serve(t, {
    fastify: { logger: { level: 'error', stream: log } },
    sse: { maxClientsPerIp: 3 },
    setup: (app) => {
      app.addHook('onRequest', async ({ headers }, { raw }) => {
        if (!('x-misdeed' in headers)) return
        const { write } = raw
        let writes = 0
        raw.write = ((...args: Parameters<typeof write>) => {
          if (++writes > 1) throw new Error('no second write')
          return write.apply(raw, args)
        }) as typeof write
      })
    }
  })
  const readers = [await s.connect(), await s.connect({ headers: { 'x-misdeed': '1' } }), await s.connect()]
  s.app.sse.broadcast(1)
  s.app.sse.broadcast(2)
  for (const reader of [readers[0]!, readers[2]!]) {
    const data = (await reader.take(2)).map((event) => event.data)
    t.strictSame(data, ['1', '2'])
  }
  await readers[1]!.waitForClose()
  t.notOk(readers[1]!.ended, 'what is incomplete does not look complete')
  t.match(s.app.sse.stats(), { connected: 2, disconnects: { error: 1 } })
  t.match(await log.waitFor(/cannot be written/), { err: { message: 'no second write' } })
  t.equal((await s.connect()).status, 200, 'its slot is free')
})
