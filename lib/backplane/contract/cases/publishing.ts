// The cases about publishing: who gets a message, in which order, and what happens to a batch that is published again.

import assert from 'node:assert/strict'
import type { Backplane, Parcel } from '../../backplane.js'
import type { CaseContext } from '../harness.js'
import { assertAscending, type Member, numbering, parcels, plain } from '../log.js'

/** Adds the cases about publishing. */
export function publishingCases({ add }: CaseContext): void {
  add(
    'messages reach every process, including the publisher, once, in order, with the acknowledged cursors',
    async (log) => {
      const all = [await log.join(), await log.join(), await log.join()]
      const cursors: string[] = []
      const sent: Parcel[] = []
      for (let i = 0; i < 20; i++) {
        const batch = parcels(1 + (i % 7))
        sent.push(...batch)
        cursors.push(...(await all[0]!.backplane.publish(batch)))
      }
      for (const { listener } of all) {
        await listener.until(sent.length)
        assert.deepEqual(listener.entries.map(plain), sent.map(plain))
        assert.deepEqual(listener.cursors, cursors)
      }
      await assertNoRepeats(all)
    }
  )

  add('messages of several publishers reach all processes in one order', async (log) => {
    const all = [await log.join(), await log.join(), await log.join()]
    const publish = async (backplane: Backplane) => {
      const sent: [messageId: string, cursor: string][] = []
      const publisher = numbering()
      for (let i = 0; i < 20; i++) {
        const batch = publisher(10)
        const cursors = await backplane.publish(batch)
        sent.push(...batch.map(({ messageId }, j): [string, string] => [messageId, cursors[j]!]))
      }
      return sent
    }
    const sent = await Promise.all(all.map(({ backplane }) => publish(backplane)))
    const orders: string[][] = []
    for (const { listener, backplane } of all) {
      await listener.until(600)
      orders.push(listener.entries.map(({ cursor, messageId }) => `${cursor} ${messageId}`))
      assertAscending(backplane, listener.cursors)
    }
    for (const order of orders) assert.deepEqual(order, orders[0])
    for (const [i, mine] of sent.entries()) {
      const ids = new Set(mine.map(([messageId]) => messageId))
      const heard = all[i]!.listener.entries.filter(({ messageId }) => ids.has(messageId))
      assert.deepEqual(
        heard.map(({ messageId, cursor }) => [messageId, cursor]),
        mine
      )
    }
  })

  add('a batch that is published twice can be recognised by its message ids', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const publisher = numbering()
    const batch = publisher(3)
    const cursors = [...(await a.backplane.publish(batch)), ...(await a.backplane.publish(batch))]
    const [last] = await a.backplane.publish(publisher(1))
    const { entries } = await b.listener.untilCursor(last!)
    const ids = batch.map(({ messageId }) => messageId)
    const heard = entries.slice(0, -1)
    assert.deepEqual(
      heard.slice(0, 3).map(({ messageId }) => messageId),
      ids
    )
    // Some engines drop the second batch themselves.
    if (heard.length > 3)
      assert.deepEqual(
        heard.slice(3).map(({ messageId }) => messageId),
        ids
      )
    for (const [i, cursor] of cursors.entries()) {
      const entry = entries.find((entry) => entry.cursor === cursor)
      assert.equal(entry?.messageId, ids[i % 3], `the entry at ${cursor}`)
    }
  })

  add('a batch that is published again with more or fewer messages arrives whole', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const publisher = numbering()
    const batch = publisher(3)
    await a.backplane.publish(batch)
    const grown = [...batch.slice(1), ...publisher(2)]
    for (const again of [grown, grown.slice(0, 2), [grown[0]!, grown.at(-1)!]]) {
      const cursors = await a.backplane.publish(again)
      await b.listener.untilCursor(cursors.at(-1)!)
      const at = new Map(b.listener.entries.map(({ cursor, messageId }) => [cursor, messageId]))
      assert.deepEqual(
        cursors.map((cursor) => at.get(cursor)),
        again.map(({ messageId }) => messageId)
      )
    }
  })

  add('entries have the time at which the engine received them', async (log) => {
    const { backplane, listener } = await log.join()
    await backplane.publish(parcels(1))
    const { at } = (await listener.until(1)).entries[0]!
    assert.ok(Math.abs(Date.now() - at) < 86_400_000, `the time is in ms since 1970: ${at}`)
  })
}

/** Checks that no earlier entry comes again: the next entry that everyone gets is a new one. */
async function assertNoRepeats(all: readonly Member[]): Promise<void> {
  const [cursor] = await all[0]!.backplane.publish(parcels(1))
  for (const { listener } of all) {
    const count = listener.entries.length
    await listener.untilCursor(cursor!)
    assert.ok(listener.entries.length <= count + 1, 'an entry has come twice')
  }
}
