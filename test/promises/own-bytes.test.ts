import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { gate } from '../kit/deferred.js'
import type { EventReader } from '../kit/event-reader.js'
import { injectClient } from '../kit/inject-client.js'
import { accountFor, broadcastNumbers } from '../kit/numbered.js'
import { serve } from '../kit/server.js'
import { placeOf } from '../kit/talkative.js'

t.test("8. Never another's bytes: frames go into their own response alone", async (t) => {
  const slowly = [gate(), gate()]
  const setup = (app: FastifyInstance) => {
    app.get<{ Params: { n: string } }>('/slow/:n', async ({ params }) =>
      slowly[Number(params.n)]!.pass().then(() => 'slow')
    )
    app.get('/plain', async () => 'plain')
  }
  const served = await serve(t, { setup, sse: { maxClientsPerIp: false } })
  const { app } = served
  let n = 0
  let talking = true
  const talk = (async () => {
    while (talking) {
      broadcastNumbers(app, ++n, n)
      await turn()
    }
  })()

  const plain = { path: '/plain' }
  const behind = await served.connect({ before: [{ path: '/slow/0' }], waitForHead: false })
  const between = await served.connect({ before: [plain, plain], waitForHead: false })
  const headed = await served.connect({ before: [{ method: 'HEAD' }, plain, { method: 'HEAD' }], waitForHead: false })
  const old = await served.connect({ httpVersion: '1.0' })
  const simulated = await injectClient(app)
  const left = await served.connect({ before: [{ path: '/slow/1' }], waitForHead: false })
  await Promise.all(slowly.map(({ reached }) => reached))
  await left.abort()
  for (const { open } of slowly) open()
  const streams: EventReader[] = [behind, between, headed, old, simulated]
  await Promise.all(streams.map((stream) => stream.take(50)))

  // A connection outlives its stream: what comes on it next is no stream.
  for (const client of app.sse.clients) client.close()
  await Promise.all(streams.map((stream) => stream.waitForEnd()))
  const answers: EventReader[] = []
  for (const client of [behind, between, headed]) {
    for (let i = 0; i < 5; i++) {
      const answer = client.request(plain)
      answers.push(answer)
      await answer.waitForEnd()
    }
  }
  talking = false
  await talk

  for (const stream of streams) {
    const first = placeOf(stream.ids[0])
    t.ok(accountFor(stream.events, first).last >= first + 50)
    t.equal(stream.failure, undefined)
  }
  t.strictSame(
    answers.map(({ body }) => body),
    new Array(15).fill('plain')
  )
  t.strictSame(
    [behind, between, headed].map(({ pipelined }) => pipelined.slice(0, -5).map(({ body }) => body)),
    [['slow'], ['plain', 'plain'], ['', 'plain', '']]
  )
})
