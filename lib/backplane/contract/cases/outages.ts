// The cases about closing, and about an engine that is out of reach for a while.

import assert from 'node:assert/strict'
import type { CaseContext } from '../harness.js'
import { ContractListener, within } from '../listener.js'
import { AMPLE, type Member, numbering, parcels } from '../log.js'

/** Adds the cases about closing and outages. */
export function outageCases({ add, harness, patience }: CaseContext): void {
  add('closing a backplane ends it and no other', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    await a.backplane.publish(parcels(1))
    await Promise.all([a.listener.until(1), b.listener.until(1)])
    await within(b.backplane.close(), 'close()', patience)
    await assert.rejects(b.backplane.publish(parcels(1)), Error, 'publish() after close()')
    await within(b.backplane.close(), 'a second close()', patience)
    await a.backplane.publish(parcels(2))
    await a.listener.until(3)
    assert.equal(b.listener.entries.length, 1, 'the listener gets nothing after close()')
    await within(log.make().close(), 'close() of a backplane that has not joined', patience)
    assert.equal((await log.join()).joined.history.length, 3)
  })

  if (harness.interrupt && harness.resume) {
    add('join rejects while the engine is out of reach, and can be called again', async (log) => {
      const a = await log.join()
      await a.backplane.publish(parcels(2))
      await harness.interrupt!()
      const backplane = log.make()
      const listener = new ContractListener(patience)
      const attempt = within(backplane.join(AMPLE, listener), 'join()', patience)
      await assert.rejects(
        attempt,
        (error: Error) => error.message.includes(backplane.name),
        'the error names the backplane'
      )
      await harness.resume!()
      const joined = await log.retry(() => backplane.join(AMPLE, listener))
      assert.equal(joined.history.length, 2)
      await backplane.publish(parcels(1))
      await listener.until(1)
    })

    add('publish rejects while the engine is out of reach, and a retry afterwards keeps the order', async (log) => {
      const all = [await log.join(), await log.join()]
      const [a, b] = all as [Member, Member]
      const publisher = numbering()
      await a.backplane.publish(publisher(2))
      await Promise.all(all.map(({ listener }) => listener.until(2)))
      await harness.interrupt!()
      const batch = publisher(3)
      await assert.rejects(within(a.backplane.publish(batch), 'publish()', patience), Error)
      for (const { listener } of all) await listener.untilConnected(false)
      await harness.resume!()
      const cursors = await log.retry(() => a.backplane.publish(batch))
      const last = await log.retry(() => b.backplane.publish(parcels(1)))
      for (const { listener } of all) {
        await listener.untilCursor(last[0]!)
        await listener.untilConnected(true)
        const ids = listener.entries.map(({ messageId }) => messageId)
        // The first attempt may have reached the engine although it rejected.
        assert.deepEqual([...new Set(ids)].slice(0, -1), listener.first.concat(batch.map(({ messageId }) => messageId)))
        assert.equal(new Set(listener.cursors).size, listener.cursors.length, 'no entry comes twice')
        assert.ok(cursors.every((cursor) => listener.cursors.includes(cursor)))
        assert.equal(listener.gaps.length, 0)
      }
    })

    add('close does not wait for an engine that is out of reach', async (log) => {
      const { backplane } = await log.join()
      await harness.interrupt!()
      try {
        await within(backplane.close(), 'close()', 5000)
      } finally {
        await harness.resume!()
      }
    })
  }
}
