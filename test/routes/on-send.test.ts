import { PassThrough, pipeline, Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import t from 'tap'
import { getsIn, ONE_SLOT } from '../kit/one-slot.js'
import { serve } from '../kit/server.js'

/** An app with a hook that does something to the stream of those who ask for it. */
function serveWithOnSend(t: Test, hook: (payload: Readable, reply: FastifyReply) => unknown) {
  const onSend = async (request: FastifyRequest, reply: FastifyReply, payload: unknown) =>
    request.headers['x-hook'] && payload instanceof Readable ? hook(payload, reply) : payload
  return serve(t, { sse: ONE_SLOT, setup: (app) => app.addHook('onSend', onSend) })
}

const HOOKED = { headers: { 'x-hook': 'yes' } }

t.test('an onSend hook that reads or wraps the stream gets a clear 500, and no slot stays taken', async (t) => {
  const hooks: Record<string, (payload: Readable) => unknown> = {
    'reads it to the end': async (payload) => {
      for await (const _ of payload);
      return payload
    },
    'listens to its data': (payload) => payload.on('data', () => {}),
    'reads it by the piece': (payload) => {
      payload.read()
      return payload
    },
    'pipes it': (payload) => payload.pipe(new PassThrough()),
    'pipes it with errors': (payload) => pipeline(payload, new PassThrough(), () => {}),
    'wraps it in a generator': (payload) =>
      Readable.from(
        (async function* () {
          yield* payload
        })()
      ),
    'replaces it by another stream': () => Readable.from(['a text'])
  }
  for (const [what, hook] of Object.entries(hooks)) {
    await t.test(what, async (t) => {
      const s = await serveWithOnSend(t, hook)
      const client = await s.connect(HOOKED)
      if (!t.equal(client.status, 500)) return
      await client.waitForEnd()
      t.match(JSON.parse(client.body), {
        statusCode: 500,
        code: 'PYLON_SSE_ERR_STREAM_CONSUMED',
        message: /onSend hook/
      })
      t.equal(client.headers.get('content-type'), 'application/json; charset=utf-8')
      await getsIn(t, s)
      t.equal(s.app.sse.clientCount, 1)
    })
  }
})

t.test('an onSend hook may answer with a text instead, and no slot stays taken', async (t) => {
  const s = await serveWithOnSend(t, (_payload, reply) => {
    reply.code(503).type('text/plain')
    return 'not now'
  })
  const client = await s.connect(HOOKED)
  await client.waitForEnd()
  t.equal(client.status, 503)
  t.equal(client.body, 'not now')
  await getsIn(t, s)
  t.equal(s.app.sse.stats().accepted, 1)
})
