// The cases about losses: a log that was deleted, or that lacks entries which were read from it.

import assert from 'node:assert/strict'
import type { CaseContext } from '../harness.js'
import { ContractListener, within } from '../listener.js'
import { AMPLE, type Member, parcels } from '../log.js'

/** Adds the cases about losses. Each needs the parts of the harness that cause the loss. */
export function lossCases({ add, harness, patience }: CaseContext): void {
  if (harness.replace) {
    add('after the log is deleted, the listener gets a gap and the entries of the new log', async (log) => {
      const [a, b] = [await log.join(), await log.join()]
      const old = await a.backplane.publish(parcels(3))
      await Promise.all([a.listener.until(3), b.listener.until(3)])
      await harness.replace!()
      const batch = parcels(2)
      const cursors = await log.retry(() => a.backplane.publish(batch))
      for (const { backplane, listener } of [a, b]) {
        await listener.untilGap()
        const { floor, history } = listener.gaps.at(-1)!
        const newest = () => [...history, ...listener.sinceGap]
        await listener.untilCursor(cursors.at(-1)!, newest)
        assert.ok(newest().some(({ messageId }) => messageId === batch.at(-1)!.messageId))
        assert.ok(backplane.compare(floor, cursors.at(-1)!)! < 0)
        assert.ok(!newest().some(({ cursor }) => old.includes(cursor)), 'no entry of the old log comes again')
      }
    })
  }

  if (harness.keep && harness.restore) {
    add('the loss of the newest entries is reported in the log, also for processes that join later', async (log) => {
      const all = [await log.join(), await log.join()]
      const [a, b] = all as [Member, Member]
      const kept = parcels(3)
      await a.backplane.publish(kept)
      await Promise.all(all.map(({ listener }) => listener.until(3)))
      await harness.keep!()
      const lost = parcels(3)
      await b.backplane.publish(lost)
      await Promise.all(all.map(({ listener }) => listener.until(6)))
      await harness.restore!()
      const after = parcels(2)
      const cursors = await log.retry(() => a.backplane.publish(after))
      for (const { listener } of all) {
        await listener.untilGap()
        assert.ok(listener.losses.length > 0, 'the backplane asks for a report of the loss')
        await listener.untilCursor(cursors.at(-1)!, () => listener.newest)
        const ids = listener.newest.map(({ messageId }) => messageId)
        assert.ok(
          listener.losses.some(({ messageId }) => ids.includes(messageId)),
          'the report is in the log'
        )
        assert.deepEqual(
          kept.concat(lost, after).filter(({ messageId }) => ids.includes(messageId)),
          kept.concat(after),
          'the lost entries are gone, and the others are there'
        )
        assertOnce(listener)
      }
      const reports = all.flatMap(({ listener }) => listener.losses)
      const { history } = (await log.join()).joined
      assert.ok(
        reports.some(({ messageId }) => history.some((entry) => entry.messageId === messageId)),
        'a process that joins later finds the report'
      )
    })

    add('a loss is noticed although as many new entries have followed', async (log) => {
      const a = await log.join()
      await a.backplane.publish(parcels(2))
      await a.listener.until(2)
      await harness.keep!()
      for (const batch of [parcels(1), parcels(1), parcels(1)]) await a.backplane.publish(batch)
      await a.listener.until(5)
      await harness.restore!()
      const other = log.make()
      await log.retry(() => other.join(AMPLE, new ContractListener(patience)))
      let last: readonly string[] = []
      for (const batch of [parcels(1), parcels(1), parcels(1)]) last = await log.retry(() => other.publish(batch))
      await a.listener.untilGap()
      await a.listener.untilCursor(last[0]!, () => a.listener.newest)
      assert.ok(a.listener.losses.length > 0, 'the backplane asks for a report of the loss')
    })

    add('two losses in a row are reported one by one, also for processes that join in between', async (log) => {
      const a = await log.join()
      await a.backplane.publish(parcels(2))
      await a.listener.until(2)
      await harness.keep!()
      const all: Member[] = [a]
      for (let round = 1; round <= 2; round++) {
        // A process that has read the lost entry may be closed before the loss is found.
        const dying = await log.join()
        const [lost] = await dying.backplane.publish(parcels(1))
        for (const { listener, joined } of [...all, dying])
          await listener.untilCursor(lost!, () => [...joined.history, ...listener.entries, ...listener.sinceGap])
        await within(dying.backplane.close(), 'close()', patience)
        const before = all.map(({ listener }) => ({ gaps: listener.gaps.length, losses: listener.losses.length }))
        await harness.restore!()
        const [cursor] = await log.retry(() => a.backplane.publish(parcels(1)))
        for (const [i, { listener }] of all.entries()) {
          await listener.untilGap(before[i]!.gaps + 1)
          await listener.untilCursor(cursor!, () => listener.newest)
          assert.ok(listener.losses.length > before[i]!.losses, `the backplane asks for a report of loss ${round}`)
        }
        const reports = all.flatMap(({ listener }, i) => listener.losses.slice(before[i]!.losses))
        const later = await log.join()
        assert.ok(
          reports.some(({ messageId }) => later.joined.history.some((entry) => entry.messageId === messageId)),
          `a process that joins after loss ${round} finds its report`
        )
        all.push(later)
      }
    })

    if (harness.replace)
      add('entries of a log that was deleted and restored do not come again', async (log) => {
        const all = [await log.join(), await log.join()]
        const [a] = all as [Member, Member]
        await a.backplane.publish(parcels(20))
        await Promise.all(all.map(({ listener }) => listener.until(20)))
        await harness.keep!()
        await harness.replace!()
        for (const { listener } of all) await listener.untilGap()
        const between = await log.retry(() => a.backplane.publish(parcels(1)))
        for (const { listener } of all) await listener.untilCursor(between[0]!, () => listener.newest)
        await harness.restore!()
        const cursors = await log.retry(() => a.backplane.publish(parcels(1)))
        for (const { listener } of all) {
          await listener.untilGap(2)
          await listener.untilCursor(cursors[0]!, () => listener.newest)
          assertOnce(listener)
        }
      })
  }
}

/** Checks that no entry has come twice, apart from the histories of gaps. */
function assertOnce({ entries }: ContractListener): void {
  assert.equal(new Set(entries.map(({ messageId }) => messageId)).size, entries.length, 'an entry has come twice')
}
