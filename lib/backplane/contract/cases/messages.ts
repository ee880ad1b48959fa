// The cases about the content of entries: all fields of a message, large bodies, and entries of another format.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { BackplaneEvent, BackplaneMessage, Parcel } from '../../backplane.js'
import { faultOf } from '../../entry-format.js'
import type { CaseContext } from '../harness.js'
import { assertAscending, type Member, numbering, parcels, plain } from '../log.js'

/** Adds the cases about the content of entries. */
export function messageCases({ add, harness }: CaseContext): void {
  add('every field of a message arrives unchanged', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const request = { key: 'k"\\☃', digest: 'd'.repeat(64), index: 2, count: 3 }
    const event: BackplaneEvent = { kind: 'event', body: 'event: a\ndata: {"b":"\u{1f600}"}\n\n' }
    const messages: BackplaneMessage[] = [
      event,
      { ...event, id: 'own id, é' },
      { ...event, topic: 'a/b/ä "quoted"' },
      { ...event, except: randomUUID() },
      { ...event, isText: true },
      { ...event, request },
      { ...event, id: 'i', topic: 't', except: 'e', isText: true, request },
      { kind: 'disconnect', body: '{"selector":{"topic":"x"},"options":{}}' },
      { ...event, body: 'data: \u0000\u0001\u2028\r\n\n\t"\\ \u{10ffff}' },
      // A UTF-8 decoder may remove a byte order mark.
      { ...event, body: '\ufeffdata: x\n\n' },
      { ...event, topic: '__proto__', body: '{}' }
    ]
    const publisher = numbering()
    const batch = messages.map((message) => ({ ...publisher(1)[0]!, message }))
    await a.backplane.publish(batch)
    const late = await log.join()
    for (const [name, read] of [
      ['live', (await b.listener.until(batch.length)).entries],
      ['history', late.joined.history]
    ] as const) {
      for (const [i, entry] of read.entries()) assert.deepEqual(plain(entry), plain(batch[i]!), `message ${i}, ${name}`)
    }
  })

  add('large events arrive unchanged', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const batch = parcels(4, `data: ${'ä"\u{1f600}'.repeat(40_000)}\n\n`)
    const cursors = await a.backplane.publish(batch)
    await b.listener.until(4)
    assert.deepEqual(b.listener.cursors, cursors)
    const late = await log.join()
    for (const [i, { message }] of batch.entries()) {
      assert.ok(b.listener.entries[i]!.message.body === message.body, 'the body is unchanged')
      assert.ok(late.joined.history[i]!.message.body === message.body, 'the body is unchanged in the history')
    }
  })

  if (harness.intrude) {
    add('foreign entries in the log are skipped, and no others', async (log) => {
      const all = [await log.join(), await log.join()]
      const [a] = all as [Member]
      const sent: Parcel[] = []
      const cursors: string[] = []
      const publisher = numbering()
      for (let i = 0; i < 3; i++) {
        await harness.intrude!()
        const batch = publisher(2)
        sent.push(...batch)
        cursors.push(...(await a.backplane.publish(batch)))
        await harness.intrude!()
        all.push(await log.join())
      }
      const [last] = await a.backplane.publish(publisher(1))
      for (const { joined, listener, backplane } of all) {
        await listener.untilCursor(last!)
        const told = [...joined.history, ...listener.entries].slice(0, -1)
        const known = told.filter((entry) => faultOf(entry) === undefined)
        assert.deepEqual(known.map(plain), sent.map(plain))
        assert.deepEqual(
          known.map(({ cursor }) => cursor),
          cursors
        )
        assertAscending(backplane, [...told.map(({ cursor }) => cursor), last!])
        assert.ok(listener.foreign.length + told.length > known.length, 'skipped entries are reported to the listener')
        assert.equal(listener.gaps.length, 0)
      }
    })
  }
}
