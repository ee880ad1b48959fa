import t from 'tap'
import type { CloseOptions } from '../../../lib/index.js'
import type { EventReader } from '../../kit/event-reader.js'
import { serve } from '../../kit/server.js'
import { heard } from '../../kit/topics.js'

t.test('disconnect() refuses a predicate that returns a promise, which would select every client', async (t) => {
  const served = await serve(t)
  await served.connect()
  const error = { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: /^Option 'predicate'/ }
  const predicates = [async () => false, async () => Promise.reject(new Error('late'))]
  for (const predicate of predicates) t.throws(() => served.app.sse.disconnect(predicate as never), error)
  t.equal(served.app.sse.clientCount, 1)
})

t.test('disconnect() and close() refuse what they do not take, by name, and end no stream', async (t) => {
  const served = await serve(t)
  await served.connect()
  const { sse } = served.app
  const [client] = sse.clients
  const everyone = () => true
  const selector = 'PYLON_SSE_ERR_INVALID_SELECTOR'
  const option = 'PYLON_SSE_ERR_INVALID_OPTION'
  const calls: [what: string, call: () => unknown, error: { code: string; message: RegExp }][] = [
    ['null', () => sse.disconnect(null as never), { code: selector, message: /got null; it takes an object, or/ }],
    ['nothing', () => sse.disconnect(undefined as never), { code: selector, message: /undefined; it takes/ }],
    ['an id as text', () => sse.disconnect(client!.id as never), { code: selector, message: /string; it takes/ }],
    ['an array', () => sse.disconnect([] as never), { code: selector, message: /an array; it takes/ }],
    ['no options', () => sse.disconnect(everyone, null as never), { code: option, message: /'options' got null/ }],
    [
      'a bad one',
      () => sse.disconnect(everyone, { reconnect: 'no' } as never),
      { code: option, message: /'reconnect'/ }
    ],
    ['misspelt', () => client!.close({ reconect: false } as never), { code: option, message: /'reconect'/ }],
    ['null for close', () => client!.close(null as never), { code: option, message: /'options' got null/ }],
    ['a number', () => client!.close(7 as never), { code: option, message: /'options' got 7/ }]
  ]
  for (const [what, call, error] of calls) t.throws(call, error, what)
  t.equal(sse.clientCount, 1)
  client!.close({ reconnect: undefined })
  t.equal(sse.clientCount, 0)
})

t.test('disconnect ends the streams of the selected clients, and tells them to stay away if asked to', async (t) => {
  const served = await serve(t, {
    sse: {
      onConnect: (client, { headers }) => {
        client.state = { user: headers['x-user'] }
      }
    }
  })
  const readers: EventReader[] = []
  for (const user of ['7', '7', '42']) readers.push(await served.connect({ headers: { 'x-user': user } }))
  const [first, second, other] = readers as [EventReader, EventReader, EventReader]
  const { sse } = served.app
  const kick = (user: string, options?: CloseOptions) => sse.disconnect(({ state }) => state.user === user, options)
  t.equal(kick('nobody', { reconnect: false }), 0)
  sse.broadcastMessage('last words')
  t.equal(kick('7', { reconnect: false }), 2)
  t.equal(kick('7', { reconnect: false }), 0, 'they have gone')
  t.equal(sse.clientCount, 1)
  for (const reader of [first, second]) {
    await reader.waitForEnd()
    t.equal(reader.events[0]?.data, 'last words')
    t.equal((await served.connect({ lastEventId: reader.lastEventId })).status, 204)
  }
  sse.broadcastMessage('to who stayed')
  t.equal((await other.until(({ data }) => data !== 'last words')).data, 'to who stayed')
  t.equal(kick('42'), 1)
  await other.waitForEnd()
  const again = await served.connect({ lastEventId: other.lastEventId })
  t.equal(again.status, 200)
  t.strictSame(await heard(served, again), [[]])
})
