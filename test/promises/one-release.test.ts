import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { DisconnectReason } from '../../lib/index.js'
import { Connections } from '../kit/connections.js'
import { type Gate, gate } from '../kit/deferred.js'
import { serve } from '../kit/server.js'

t.test('6. Exactly one release: a slot is given back once, by whichever way a client goes', async (t) => {
  const left: DisconnectReason[] = []
  let hold: Gate = gate()
  const waiting = async (request: { headers: Record<string, unknown> }, at: string) => {
    if (request.headers['x-wait'] === at) await hold.pass()
    if (request.headers['x-fail'] === at) throw new Error('no')
  }
  const setup = (app: FastifyInstance) => {
    connections = new Connections(app)
  }
  let connections!: Connections
  const served = await serve(t, {
    setup,
    sse: {
      maxClientsPerIp: 2,
      overLimit: 'status',
      route: {
        preHandler: (request) => waiting(request, 'preHandler'),
        onSend: async (request, _reply, payload) => {
          await waiting(request, 'onSend')
          return payload
        }
      },
      onConnect: async (client, request) => {
        await waiting(request, 'onConnect')
        if (request.headers['x-close']) client.close()
      },
      onDisconnect: (_client, reason) => void left.push(reason)
    }
  })
  const visit = async (headers: Record<string, string>) => {
    const client = await served.connect({ headers })
    await client.waitForEnd()
    await client.close()
  }
  const abortAt = async (at: string) => {
    hold = gate()
    const client = await served.connect({ headers: { 'x-wait': at }, waitForHead: at === 'onConnect' })
    await hold.reached
    await client.abort()
    await connections.waitForNumber(0)
    hold.open()
  }
  const ways: [way: string, go: () => Promise<void>][] = [
    ['it is refused by a hook', () => visit({ 'x-fail': 'preHandler' })],
    ['a hook fails when it has been let in', () => visit({ 'x-fail': 'onSend' })],
    ['onConnect fails', () => visit({ 'x-fail': 'onConnect' })],
    ['the app closes it', () => visit({ 'x-close': '1' })],
    ['it accepts no stream', () => visit({ accept: 'text/html' })],
    ['it aborts before it is let in', () => abortAt('preHandler')],
    ['it aborts before its head', () => abortAt('onSend')],
    ['it aborts while onConnect runs', () => abortAt('onConnect')],
    ['it leaves', async () => (await served.connect()).close()],
    ['it is killed', async () => (await served.connect()).abort().then(() => {})],
    ['it asks for the head alone', async () => (await served.connect({ method: 'HEAD' })).close()]
  ]
  for (const [way, go] of ways) {
    // Three times, so that two slots would be lost, or a third be won.
    for (let i = 0; i < 3; i++) {
      await go()
      await connections.waitForNumber(0)
    }
    const clients = [await served.connect(), await served.connect(), await served.connect()]
    t.strictSame(
      clients.map(({ status }) => status),
      [200, 200, 429],
      way
    )
    await Promise.all(clients.map((client) => client.close()))
    await connections.waitForNumber(0)
  }
  t.equal(left.length, served.app.sse.stats().accepted)
})
