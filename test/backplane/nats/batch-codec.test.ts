import t from 'tap'
import type { Parcel } from '../../../lib/backplane/backplane.js'
import { type Pack, packBatch, TooLargeError, unpackBatch } from '../../../lib/backplane/nats/batch-codec.js'

function parcel(number: number, body: string): Parcel {
  return { messageId: `p:${number}`, message: { kind: 'event', body, topic: `t${number}` } }
}

const plain = (parcels: readonly (Parcel | undefined)[]) =>
  parcels.map((each) => each && [each.messageId, each.message.body, 'topic' in each.message && each.message.topic])

t.test('a batch is packed into as few messages as possible, none too large, and in order', async (t) => {
  const bodies = ['', 'a', 'ä\u{1f600}\n', '\ufeff{"x":"\\"\u0000"}', 'x'.repeat(300), 'ü'.repeat(200), '\n\n']
  const batch = bodies.map((body, i) => parcel(i, body))
  for (let most = 460; most < 1500; most += 7) {
    const packs = packBatch(batch, most)
    t.ok(packs.every(({ bytes }) => bytes.length <= most))
    t.strictSame(
      packs.flatMap(({ parcels }) => parcels),
      batch
    )
    const unpacked = packs.map(({ bytes }) => unpackBatch(bytes))
    t.strictSame(
      unpacked.map((each) => each.length),
      packs.map(({ parcels }) => parcels.length)
    )
    t.strictSame(plain(unpacked.flat()), plain(batch))
    t.strictSame(
      unpacked.flat().map((each) => each!.size),
      bodies.map((body) => Buffer.byteLength(body))
    )
    const all = packs.reduce((sum, { bytes }) => sum + bytes.length, 0)
    t.ok(packs.length <= 2 * Math.ceil(all / most), 'they are well filled')
  }
})

t.test('an event of the largest size fits, and one byte more does not', async (t) => {
  const [{ bytes }] = packBatch([parcel(1, 'x'.repeat(1000))], 10_000) as [Pack]
  t.equal(packBatch([parcel(1, 'x'.repeat(1000))], bytes.length).length, 1)
  t.throws(() => packBatch([parcel(0, 'a'), parcel(1, 'x'.repeat(1000))], bytes.length - 1), TooLargeError)
})

t.test('a message of another format is no entry, but has a cursor', async (t) => {
  for (const text of [
    '',
    'x',
    '\n',
    '{"a":1}\n',
    'pylon-sse 1 {]\n',
    'pylon-sse 1 [[]]',
    'pylon-sse 2 []\n',
    'pylon-sse 1 7\n',
    'pylon-sse 1 null\n'
  ])
    t.strictSame(unpackBatch(Buffer.from(text)), [undefined], text)
  t.strictSame(plain(unpackBatch(Buffer.from('pylon-sse 1 [["p:1","{",1],["p:2","{\\"topic\\":\\"t\\"}",1]]\nab'))), [
    undefined,
    ['p:2', 'b', 't']
  ])
  t.strictSame(unpackBatch(Buffer.from('pylon-sse 1 []\n')), [], 'of none there is none')
})

t.test('an invalid entry hides later ones of its message only if the length of its body is unknown', async (t) => {
  const read = (heads: unknown[], bodies: string) =>
    unpackBatch(Buffer.from(`pylon-sse 1 ${JSON.stringify(heads)}\n${bodies}`)).map((each) => each?.message.body)
  const good = ['p:9', '{}', 1]
  for (const strange of [
    ['p:1', '[]', 1],
    ['p:1', 'null', 1],
    ['p:1', null, 1],
    [1, '{}', 1],
    ['p:1', '{"v":2}', 1]
  ])
    t.strictSame(read([good, strange, good], 'axb'), ['a', undefined, 'b'], JSON.stringify(strange))
  for (const lost of [null, 7, 'p:1', {}, [], ['p:1', '{}'], ['p:1', '{}', -1], ['p:1', '{}', 0.5], ['p:1', '{}', '1']])
    t.strictSame(read([good, lost, good], 'axb'), ['a', undefined, undefined], JSON.stringify(lost))
  t.strictSame(read([good, ['p:1', '{}', 3], good], 'axb'), ['a', undefined, undefined], 'there is less than that')
  t.strictSame(read([['p:1', '{"v":1,"later":[1]}', 3]], 'axb'), ['axb'])
})
