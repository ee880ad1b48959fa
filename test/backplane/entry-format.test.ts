import assert from 'node:assert/strict'
import t from 'tap'
import type { BackplaneEntry, BackplaneMessage, Parcel } from '../../lib/backplane/backplane.js'
import { readOrder } from '../../lib/backplane/command-format.js'
import { faultOf } from '../../lib/backplane/entry-format.js'
import { decodeMessage, encodeMessage } from '../../lib/backplane/message-codec.js'
import { packBatch, unpackBatch } from '../../lib/backplane/nats/batch-codec.js'
import { encodeBody } from '../../lib/log/encode.js'
import { foreignEntries, type StoredEntry } from '../kit/foreign-entries.js'

/** As an engine gives it. */
function read({ messageId, labels, body }: StoredEntry): BackplaneEntry | undefined {
  const message = decodeMessage({ labels, body })
  return message && { cursor: '1', at: 0, messageId, message }
}

function isKnown(stored: StoredEntry): boolean {
  const entry = read(stored)
  return entry !== undefined && faultOf(entry) === undefined
}

t.test('entries of any other form are recognized', async (t) => {
  for (const stored of foreignEntries()) t.notOk(isKnown(stored), JSON.stringify(stored))
})

t.test('an entry without a type is recognized', async (t) => {
  for (const message of [undefined, null, 7, 'event', [], {}, { kind: 'event' }, { kind: 'event', body: 7 }])
    t.ok(faultOf({ cursor: '1', at: 0, messageId: 'p:1', message: message as never }), JSON.stringify(message))
  t.ok(faultOf({ cursor: '1', at: 0, messageId: 7 as never, message: { kind: 'event', body: 'data: x\n\n' } }))
})

t.test('everything that this version writes is known, and read as it was written', async (t) => {
  const texts = [
    '',
    'x',
    '\n',
    '\n\n',
    'a\r\nb\rc\n',
    '\u0000\u2028\ufeff',
    'data: x\n\nid: 7',
    '{"a":[1]}',
    '\u{1f600}'
  ]
  const request = { key: 'k'.repeat(255), digest: 'd', index: 999, count: 1000 }
  const labels = [
    {},
    { id: 'own id' },
    { topic: 'a.b' },
    { except: 'e' },
    { isText: true },
    { request },
    { attempt: 2 }
  ]
  const messages: BackplaneMessage[] = [
    { kind: 'loss', body: JSON.stringify({ silence: 0 }) },
    { kind: 'loss', body: JSON.stringify({ after: 'p:1', silence: 12 }), attempt: 2 },
    ...texts
      .flatMap((text) => ['', 'name', '\ufeff', 'data: x'].map((event) => encodeBody(text, { event }, 1000)))
      .flatMap((body) => labels.map((each) => ({ kind: 'event' as const, body, ...each }))),
    { kind: 'disconnect', body: JSON.stringify({ selector: { id: 'x' } }) },
    { kind: 'disconnect', body: JSON.stringify({ selector: { topic: 'a.*' }, options: { reconnect: false } }) },
    { kind: 'disconnect', body: JSON.stringify({ selector: { ip: '::1', state: { a: 1, b: null } }, options: {} }) }
  ]
  for (const message of messages) {
    const stored = { messageId: 'a:b:9007199254740991', ...encodeMessage(message) }
    t.ok(isKnown(stored))
    assert.deepEqual(JSON.parse(JSON.stringify(read(stored)!.message)), message)
  }
  const parcels: Parcel[] = messages.map((message, i) => ({ messageId: `p:${i + 1}`, message }))
  const [pack] = packBatch(parcels, 1024 * 1024)
  t.ok(unpackBatch(pack!.bytes).every((parcel) => faultOf({ cursor: '1', at: 0, ...parcel! }) === undefined))
})

t.test('entries written before the format had a version are read as version 1', async (t) => {
  const entry = { messageId: 'p:1', body: 'data: 1\n\n' }
  for (const labels of ['{}', '{"v":1}', '{"kind":"event"}', '{"topic":"a","later":true}'])
    t.ok(isKnown({ ...entry, labels }), labels)
  t.ok(isKnown({ ...entry, labels: '{"kind":"disconnect"}', body: '{"selector":{"id":"x"},"later":7}' }))
})

t.test('unknown fields of a disconnect are ignored', async (t) => {
  const read = (body: string) => readOrder({ kind: 'disconnect', body })
  t.strictSame(read('{"selector":{"id":"x"},"options":{"reconnect":false,"later":1},"later":1}'), {
    selector: { id: 'x' },
    command: { kind: 'disconnect', options: { reconnect: false } }
  })
  t.strictSame(read('{"selector":{"id":"x"}}'), { selector: { id: 'x' }, command: { kind: 'disconnect', options: {} } })
})

t.test('a command that cannot be carried out is not of the format', async (t) => {
  const selector = { id: 'x' }
  const orders = [
    ['subscribe', { selector, topic: 'a.*' }],
    ['unsubscribe', { selector, topic: 'a' }],
    ['send', { selector, frame: 'event: x\ndata: 1\n\n' }]
  ] as const
  for (const [kind, { selector, ...rest }] of orders) {
    const body = JSON.stringify({ selector, ...rest, later: 1 })
    t.strictSame(readOrder({ kind, body }), { selector, command: { kind, ...rest } })
    t.ok(isKnown({ messageId: 'p:1', labels: JSON.stringify({ kind }), body }))
  }
  const faulty = [
    ['subscribe', { selector }],
    ['subscribe', { selector, topic: 'a\nb' }],
    ['subscribe', { topic: 'a' }],
    ['unsubscribe', { selector: {}, topic: 'a' }],
    ['send', { selector }],
    ['send', { selector, frame: 'data: 1\n\nid: forged\n\n' }],
    ['send', { selector, frame: 'event: resync\ndata: {}\n\n' }]
  ] as const
  for (const [kind, fields] of faulty)
    t.notOk(isKnown({ messageId: 'p:1', labels: JSON.stringify({ kind }), body: JSON.stringify(fields) }))
})

t.test('entries about runs, and the mark of a piece, are known if they are valid', async (t) => {
  const [id, topic] = ['r0123456789ab', 'x']
  const bounds = { linger: 5, maxEvents: 1, maxBytes: 1 }
  const isSaid = (said: unknown) =>
    isKnown({
      messageId: 'p:1',
      labels: '{"kind":"run"}',
      body: typeof said === 'string' ? said : JSON.stringify(said)
    })
  t.ok(isSaid({ is: 'begin', id, topic, bounds: { ...bounds, later: 1 } }))
  t.ok(isSaid({ is: 'stop', topic }))
  t.ok(isSaid({ is: 'alive', heard: [topic] }))
  const none = [
    { is: 'alive' },
    { is: 'alive', heard: ['*'] },
    { is: 'stop', topic: '*' },
    { is: 'later', topic },
    { is: 'begin', id: 'x', topic, bounds },
    { is: 'begin', id, topic },
    { is: 'begin', id, topic, bounds: { ...bounds, linger: -1 } },
    { is: 'begin', id, topic, bounds: { ...bounds, maxBytes: '1' } }
  ]
  for (const said of [...none, 'no JSON', 'null']) t.notOk(isSaid(said), JSON.stringify(said))
  const isPiece = (labels: object) => isKnown({ messageId: 'p:1', labels: JSON.stringify(labels), body: 'data: 1\n\n' })
  t.ok(isPiece({ topic, run: { id, n: 1 } }))
  t.ok(isPiece({ topic, run: { id, n: 7, last: true } }))
  for (const run of [null, 7, {}, { id: 'x', n: 1 }, { id, n: 0 }, { id, n: 1, last: 1 }])
    t.notOk(isPiece({ topic, run }))
  t.notOk(isPiece({ run: { id, n: 1 } }), 'which needs a topic')
})

t.test('a body of millions of lines does not overflow the stack', async (t) => {
  t.ok(isKnown({ messageId: 'p:1', labels: '{}', body: `${'data: \n'.repeat(3_000_000)}\n` }))
  t.notOk(isKnown({ messageId: 'p:1', labels: '{}', body: `${'data: \n'.repeat(3_000_000)}x\n\n` }))
})
