// The cases about joining: the history within its bounds, its floor, and the entries that follow.

import assert from 'node:assert/strict'
import type { CaseContext } from '../harness.js'
import { AMPLE, type Member, parcels, plain } from '../log.js'

/** Adds the cases about joining. */
export function joiningCases({ add }: CaseContext): void {
  add('a backplane has a name, and limits with defaults', async (log) => {
    const { name, limits } = log.make()
    assert.match(name, /^\S+$/)
    for (const limit of ['publishTimeout', 'maxPending', 'maxPendingBytes'] as const) {
      assert.ok(Number.isSafeInteger(limits[limit]) && limits[limit] > 0, `limits.${limit} is ${limits[limit]}`)
    }
    assert.equal(limits.optional, false)
  })

  add('joining an empty log gives no history, and a floor before all entries', async (log) => {
    const a = await log.join()
    assert.deepEqual(a.joined.history, [])
    const [cursor] = await a.backplane.publish(parcels(1))
    assert.ok(a.backplane.compare(a.joined.floor, cursor!)! < 0, 'the floor is before the first entry')
    assert.equal(a.backplane.compare(a.joined.floor, a.joined.floor), 0)
  })

  add('joining gives the entries of the log, unchanged, all after the floor', async (log) => {
    const a = await log.join()
    const batch = parcels(7)
    const cursors = await a.backplane.publish(batch)
    const b = await log.join()
    assert.deepEqual(b.joined.history.map(plain), batch.map(plain))
    assert.deepEqual(
      b.joined.history.map(({ cursor }) => cursor),
      cursors
    )
    assert.ok(b.backplane.compare(b.joined.floor, cursors[0]!)! < 0)
    await a.listener.until(7)
    assert.deepEqual(a.listener.cursors, cursors, 'both processes have the same cursors')
  })

  add('the history is the newest entries, at most as many as asked for', async (log) => {
    const a = await log.join()
    const cursors: string[] = []
    for (const batch of [parcels(4), parcels(4), parcels(4)]) cursors.push(...(await a.backplane.publish(batch)))
    for (const events of [1, 3, 4, 5, 12]) {
      const { backplane, joined } = await log.join({ ...AMPLE, events })
      assert.deepEqual(
        joined.history.map(({ cursor }) => cursor),
        cursors.slice(-events)
      )
      const [leftOut, first] = [cursors.at(-events - 1), cursors.at(-events)!]
      assert.ok(backplane.compare(joined.floor, first)! < 0, 'the floor is before the oldest entry of the history')
      if (leftOut !== undefined)
        assert.ok(backplane.compare(joined.floor, leftOut)! >= 0, 'the floor is not before an entry that is left out')
    }
  })

  add('the history is the newest entries, at most as many bytes as asked for', async (log) => {
    const a = await log.join()
    const cursors: string[] = []
    for (let i = 0; i < 20; i++) cursors.push(...(await a.backplane.publish(parcels(1, 'x'.repeat(10_000)))))
    const { backplane, joined } = await log.join({ ...AMPLE, bytes: 100_000 })
    const { floor, history } = joined
    assert.ok(history.length <= 10, `${history.length} entries of 10,000 bytes are more than 100,000 bytes`)
    assert.ok(
      history.length >= 5,
      `${history.length} entries of 10,000 bytes are much less than the 100,000 bytes asked for`
    )
    assert.deepEqual(
      history.map(({ cursor }) => cursor),
      cursors.slice(-history.length)
    )
    assert.ok(backplane.compare(floor, cursors.at(-history.length - 1)!)! >= 0)
  })

  add('between the history and the entries after it, none is missing and none comes twice', async (log) => {
    const a = await log.join()
    const sent: string[] = []
    const joining: Promise<Member>[] = []
    for (let i = 0; i < 60; i++) {
      const batch = parcels(3)
      sent.push(...batch.map(({ messageId }) => messageId))
      if (i % 6 === 3) joining.push(log.join())
      await a.backplane.publish(batch)
    }
    for (const { joined, listener } of await Promise.all(joining)) {
      await listener.until(sent.length - joined.history.length)
      const heard = [...joined.history, ...listener.entries].map(({ messageId }) => messageId)
      assert.deepEqual(heard, sent)
      assert.equal(listener.early, 0, 'the listener is not called before join() has resolved')
    }
  })
}
