import type { FastifyCompressOptions } from '@fastify/compress'
import fastifyCompress from '@fastify/compress'
import fastifySseModule from '@fastify/sse'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import t from 'tap'
import pylonSse from '../../lib/index.js'
import { serve } from '../kit/server.js'

t.test('@fastify/compress for all routes leaves the stream as it is', async (t) => {
  const greedy: FastifyCompressOptions = { customTypes: /./, threshold: 0 }
  const headers = { 'accept-encoding': 'br, gzip, deflate' }
  const cases: Record<string, (app: FastifyInstance) => Promise<void>> = {
    'with its defaults': async (app) => {
      await app.register(fastifyCompress)
      await app.register(pylonSse)
    },
    'for every type and size': async (app) => {
      await app.register(fastifyCompress, greedy)
      await app.register(pylonSse)
    },
    'registered after': async (app) => {
      await app.register(pylonSse)
      await app.register(fastifyCompress, greedy)
    },
    "where the route's options ask for it": async (app) => {
      await app.register(fastifyCompress, greedy)
      await app.register(pylonSse, { route: { compress: greedy } as object })
    }
  }
  for (const [what, register] of Object.entries(cases)) {
    for (const transport of ['http', 'h2c'] as const) {
      const setup = async (app: FastifyInstance) => {
        await register(app)
        app.get('/plain', async () => ({ text: 'plain '.repeat(1000) }))
      }
      const s = await serve(t, { sse: false, setup, transport })
      const plain = await s.app.inject({ url: '/plain', headers })
      t.ok(plain.headers['content-encoding'], `${what}: another route is compressed`)
      const client = await (transport === 'http' ? s.connect({ headers }) : s.connectH2({ headers }))
      t.equal(client.headers.get('content-encoding'), null, `${what}, over ${transport}`)
      s.app.sse.broadcast('an event')
      t.equal((await client.next()).data, '"an event"')
      await client.close()
    }
  }
})

t.test('@fastify/sse in the same app has streams of its own', async (t) => {
  // Its types are of a module that exports the plugin as `default`.
  const fastifySse = fastifySseModule as unknown as FastifyPluginAsync
  for (const order of ['before', 'after']) {
    const s = await serve(t, {
      sse: false,
      setup: async (app) => {
        if (order === 'before') await app.register(fastifySse)
        await app.register(pylonSse)
        if (order === 'after') await app.register(fastifySse)
        app.get('/theirs', { sse: true }, async (_request, reply) => {
          reply.sse.keepAlive()
          await reply.sse.send({ data: 'theirs', id: '1' })
        })
      }
    })
    const ours = await s.connect()
    const theirs = await s.connect({ path: '/theirs' })
    t.strictSame(await theirs.next(), { id: '1', event: undefined, data: '"theirs"' }, order)
    s.app.sse.broadcast('ours')
    t.equal((await ours.next()).data, '"ours"', order)
    t.equal(s.app.sse.clientCount, 1)
    t.equal(theirs.events.length, 1)
    await theirs.close()
  }
})
