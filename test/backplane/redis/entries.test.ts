import t from 'tap'
import type { Backplane, HistoryBounds } from '../../../lib/backplane/backplane.js'
import { redisStreams } from '../../../lib/backplane/redis/redis-streams.js'
import { bodiesOf, join, PLENTY, parcels } from '../../kit/backplane-listener.js'
import { KEY, open, withRedis } from '../../kit/redis-streams.js'

t.test('cursors compare by their numbers, and invalid ones are recognized', async (t) => {
  const { compare } = bound(redisStreams({ url: 'redis://localhost' }))
  t.ok(compare('9-0', '10-0')! < 0)
  t.ok(compare('10-10', '10-9')! > 0)
  t.equal(compare('5-5', '5-5'), 0)
  t.ok(compare('999999999999999-999999999999999', '999999999999999-999999999999998')! > 0)
  t.ok(compare('1000000000000000-0', '999999999999999-5')! > 0, 'Redis has ids of 64 bits')
  t.ok(compare('18446744073709551615-18446744073709551614', '18446744073709551615-18446744073709551615')! < 0)
  for (const none of [
    '',
    '5',
    '5-',
    '-5',
    '5-5-5',
    '05-5',
    '5-05',
    '5-x',
    ' 5-5',
    '5-5\n',
    'k3x9-42',
    '1e3-0',
    '18446744073709551616-0',
    '0-18446744073709551616',
    '100000000000000000000-0',
    '٣-٣'
  ]) {
    t.equal(compare(none, '5-5'), undefined, none)
    t.equal(compare('5-5', none), undefined)
  }
})

function bound(backplane: Backplane): Backplane {
  return { ...backplane, compare: backplane.compare.bind(backplane) }
}

withRedis('a process begins with the newest entries, within its bounds', async (t, { url, admin }) => {
  const loads = async (bounds: HistoryBounds) => {
    const { floor, history } = await join(open(t, { url }), bounds)
    return { floor, bodies: bodiesOf(history), cursors: history.map(({ cursor }) => cursor) }
  }
  t.strictSame(await loads(PLENTY), { floor: '0-0', bodies: [], cursors: [] })
  const writer = open(t, { url })
  await join(writer)
  const bodies = Array.from({ length: 100 }, (_, i) => `${i} ${'x'.repeat(1000)}`)
  const cursors = [...(await writer.publish(parcels(...bodies)))]
  t.strictSame(await loads(PLENTY), { floor: '0-0', bodies, cursors })
  for (const events of [1, 15, 16, 17, 99]) {
    const { floor, ...rest } = await loads({ ...PLENTY, events })
    t.strictSame(rest, { bodies: bodies.slice(-events), cursors: cursors.slice(-events) })
    t.ok(writer.compare(floor, rest.cursors[0]!)! < 0, 'the floor is before the first')
    t.ok(writer.compare(floor, cursors.at(-events - 1)!)! >= 0, 'and not before the one before')
  }
  const { length } = (await loads({ events: 1000, bytes: 50_000 })).bodies
  t.ok(length > 40 && length < 50, `${length} events of a kilobyte fit into 50`)
  t.equal((await loads({ events: 1000, bytes: 10 })).bodies.length, 1, 'the newest always does')
  await admin.xtrim(KEY, 'MAXLEN', 40)
  const trimmed = await loads(PLENTY)
  t.strictSame(trimmed.cursors, cursors.slice(-40))
  t.not(trimmed.floor, '0-0', 'what is gone is not forgotten')
  await admin.xtrim(KEY, 'MAXLEN', 0)
  t.strictSame(await loads(PLENTY), { floor: cursors.at(-1), bodies: [], cursors: [] })
})

withRedis('every entry comes once, in order, from any publisher and of any size', async (t, { url, admin }) => {
  const [one, other] = [open(t, { url }), open(t, { url })]
  const listeners = [(await join(one)).listener, (await join(other)).listener]
  const ids: string[] = []
  for (let i = 0; i < 10; i++) {
    const bodies = Array.from({ length: 300 }, (_, n) => `${i} ${n}`)
    const [first, second] = await Promise.all([
      one.publish(parcels(...bodies)),
      other.publish(parcels('ä'.repeat(300_000)))
    ])
    ids.push(...first, ...second)
  }
  const compare = (a: string, b: string) => one.compare(a, b)!
  for (const listener of listeners) {
    const entries = await listener.waitForEntries(3010)
    t.strictSame(
      entries.map(({ cursor }) => cursor),
      [...ids].sort(compare)
    )
    t.ok(entries.every(({ cursor, at }) => cursor.startsWith(`${at}-`)))
    t.strictSame(listener.gaps, [])
  }
  t.equal(listeners[0]!.entries.filter(({ message: { body } }) => body === 'ä'.repeat(300_000)).length, 10)
  t.equal(await admin.xlen(KEY), 3010)
})

withRedis('all fields of a message arrive unchanged', async (t, { url }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  const event = { kind: 'event' as const, body: 'data: ä€😀\n\n', id: 'own', topic: 'a.b', except: 'c', isText: true }
  const request = { key: 'k', digest: 'd', index: 0, count: 2 }
  const batch = [
    { messageId: 'p:1', message: { ...event, request } },
    { messageId: 'p:2', message: { kind: 'disconnect' as const, body: '{"selector":{"id":"x"}}' } }
  ]
  await backplane.publish(batch)
  const entries = await listener.waitForEntries(2)
  t.match(entries, batch)
  t.equal(entries.length, 2)
})

withRedis('foreign entries in the stream are skipped', async (t, { url, admin }) => {
  const foreign = async () => {
    await admin.xadd(KEY, '*', 'temperature', '20')
    await admin.xadd(KEY, '*', 'm', 'p:1', 'l', '{not json', 'b', '')
    await admin.xadd(KEY, '*', 'm', 'p:1', 'l', '{}', 'x', '')
    await admin.xadd(KEY, '*', 'm', 'p:1', 'l', '{"v":2}', 'b', 'data: x\n\n')
  }
  await foreign()
  const backplane = open(t, { url })
  const { history, floor, listener } = await join(backplane)
  t.strictSame([history, floor], [[], '0-0'])
  await foreign()
  await backplane.publish(parcels('ours'))
  t.strictSame(bodiesOf(await listener.waitForEntries(1)), ['ours'])
  await foreign()
  await backplane.publish(parcels('ours, too'))
  t.strictSame(bodiesOf(await listener.waitForEntries(2)), ['ours', 'ours, too'])
  t.strictSame(bodiesOf((await join(open(t, { url }))).history), ['ours', 'ours, too'])
  t.equal(listener.foreign.length, 12, 'it is told of each')
})

withRedis('the fields of an entry may be in any order, with other fields among them', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  await admin.xadd(KEY, '*', 'b', 'one', 'later', '7', 'l', '{"topic":"a","later":{}}', 'm', 'p:1', 'b', 'not this')
  const [entry] = await listener.waitForEntries(1)
  t.match(entry, { messageId: 'p:1', message: { kind: 'event', body: 'one', topic: 'a' } })
})

withRedis('entries after one with the largest possible time are read', async (t, { url, admin }) => {
  const backplane = open(t, { url })
  const { listener } = await join(backplane)
  await admin.xadd(KEY, '18446744073709551615-1', 'temperature', '20')
  const [cursor] = await backplane.publish(parcels('a'))
  t.equal(cursor, '18446744073709551615-2')
  t.match(await listener.waitForEntries(1), [{ cursor, message: { body: 'a' } }])
  const later = open(t, { url })
  const { history, listener: other } = await join(later)
  t.strictSame(bodiesOf(history), ['a'])
  await backplane.publish(parcels('b'))
  t.strictSame(bodiesOf(await other.waitForEntries(1)), ['b'])
})

withRedis('the stream is trimmed to about maxLength', async (t, { url, admin }) => {
  const backplane = open(t, { url, key: 'short', maxLength: 1000 })
  await join(backplane)
  for (let i = 0; i < 10; i++) await backplane.publish(parcels(...Array.from({ length: 500 }, () => 'x')))
  const length = await admin.xlen('short')
  t.ok(length >= 1000 && length < 1200, `${length} entries`)
})
