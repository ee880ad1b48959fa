import t from 'tap'
import type { BackplaneLimits, BackplaneListener, BackplaneMessage } from '../../lib/backplane/backplane.js'
import { resolveLimits } from '../../lib/backplane/limits.js'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import { decodeMessage, encodeMessage } from '../../lib/backplane/message-codec.js'
import { bodiesOf, join, PLENTY, parcels } from '../kit/backplane-listener.js'

t.test('the limits of a backplane have defaults', async (t) => {
  t.strictSame(resolveLimits({}), {
    optional: false,
    publishTimeout: 10_000,
    maxPending: 10_000,
    maxPendingBytes: 16 * 1024 * 1024
  })
  const own = { optional: true, publishTimeout: 1, maxPending: 2, maxPendingBytes: 2 ** 31 - 1 }
  t.strictSame(resolveLimits(own), own)
})

const wrong: [name: keyof BackplaneLimits, values: unknown[]][] = [
  ['optional', [1, 'yes', null]],
  ['publishTimeout', [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '100', 2 ** 31]],
  ['maxPending', [0, 2.5, '1']],
  ['maxPendingBytes', [0, false]]
]
for (const [name, values] of wrong) {
  t.test(`an invalid ${name} is refused by name`, async (t) => {
    for (const value of values) {
      const refusal = { code: 'PYLON_SSE_ERR_INVALID_OPTION', message: new RegExp(`backplane\\.${name}`) }
      t.throws(() => resolveLimits({ [name]: value }), refusal, String(value))
    }
  })
}

const messages: [what: string, message: BackplaneMessage][] = [
  ['a bare event', { kind: 'event', body: 'data: 1\n\n' }],
  [
    'an event with all that can be said of it',
    {
      kind: 'event',
      body: 'event: é\ndata: "x\u2028"\n\n',
      id: 'own id',
      topic: 'a.b',
      except: 'client',
      isText: true,
      request: { key: 'k', digest: 'd', index: 1, count: 2 }
    }
  ],
  ['a disconnection', { kind: 'disconnect', body: '{"selector":{"id":"7"}}' }]
]
for (const [what, message] of messages) {
  t.test(`${what} is read as it was written`, async (t) => {
    t.strictSame(JSON.parse(JSON.stringify(decodeMessage(encodeMessage(message)))), message)
  })
}

t.test('labels that are false or undefined are not stored', async (t) => {
  const { labels } = encodeMessage({ kind: 'event', body: '', isText: false, topic: undefined })
  t.equal(labels, '{}')
})

t.test('labels that are not valid JSON objects are no message', async (t) => {
  for (const labels of ['', 'nonsense', '{', 'null']) t.equal(decodeMessage({ labels, body: 'x' }), undefined, labels)
})

t.test('the log in memory returns as much of its history as is asked for', async (t) => {
  const engine = new MemoryEngine()
  engine.append(parcels('a', 'bb', 'ccc'))
  const bounds: [events: number, bytes: number, bodies: string[]][] = [
    [10, 100, ['a', 'bb', 'ccc']],
    [2, 100, ['bb', 'ccc']],
    [10, 5, ['bb', 'ccc']],
    [10, 4, ['ccc']],
    [0, 100, []]
  ]
  for (const [events, bytes, bodies] of bounds) {
    const { floor, history } = await memoryBackplane(engine).join({ events, bytes }, {} as BackplaneListener)
    t.strictSame(
      history.map(({ message }) => message.body),
      bodies
    )
    t.equal(floor, `${engine.epoch}-${3 - bodies.length}`)
  }
})

t.test('a closed backplane in memory gets no more entries, and can neither join nor publish', async (t) => {
  const engine = new MemoryEngine()
  const backplane = memoryBackplane(engine)
  const { listener } = await join(backplane)
  const published = backplane.publish(parcels('on its way'))
  await backplane.close()
  await published
  await new Promise(setImmediate)
  t.strictSame(bodiesOf(listener.entries), [])
  t.equal(engine.listeners.size, 0)
  await t.rejects(backplane.publish(parcels('late')), { code: 'PYLON_SSE_ERR_CLOSED' })
  await t.rejects(backplane.join(PLENTY, {} as BackplaneListener), { code: 'PYLON_SSE_ERR_CLOSED' })
  await t.resolves(memoryBackplane().close())
})

t.test('only cursors of the same log can be compared', async (t) => {
  const engine = new MemoryEngine()
  const { compare } = memoryBackplane(engine)
  const at = (n: number | string) => `${engine.epoch}-${n}`
  t.ok(compare(at(2), at(10))! < 0)
  t.equal(compare(at(2), at(2)), 0)
  t.ok(compare(at(10), at(2))! > 0)
  for (const other of [at('01'), at('x'), `${new MemoryEngine().epoch}-1`, '']) {
    t.equal(compare(other, at(1)), undefined, other)
    t.equal(compare(at(1), other), undefined, other)
  }
})
