/**
 * The guarantees of a backplane as a suite of cases, for any test runner.
 *
 * @module pylon-sse/backplane-contract
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Backplane, BackplaneEvent, BackplaneMessage, Parcel } from '../backplane.js'
import { faultOf } from '../entry-format.js'
import { ContractListener, within } from './listener.js'
import { AMPLE, assertAscending, ContractLog, type Member, numbering, parcels, plain } from './log.js'

/** What the suite needs of a backplane to be tested. The cases run one after another. */
export interface BackplaneHarness {
  /** Begins an empty log. `connect` is for this log from then on. */
  begin(): Promise<void>
  /** A backplane that nobody has joined, as another process would make it. The suite closes it. */
  connect(): Backplane
  /** Takes the engine out of reach, for those who have joined too. Without it the cases about that are left out. */
  interrupt?(): Promise<void>
  /** Brings the engine back, with all that it had acknowledged. */
  resume?(): Promise<void>
  /** Deletes the log, as an administrator would. Without it the case about that is left out. */
  replace?(): Promise<void>
  /** Remembers the log as it is, as a backup does. Without it, and `restore`, the cases about a log that goes back are left out. */
  keep?(): Promise<void>
  /**
   * Puts the log back to what `keep` remembered, in place of what there is now. All who have joined are connected anew. A case
   * does it twice with one backup.
   */
  restore?(): Promise<void>
  /**
   * Puts into the log what this package would not, in all the forms that the engine has: of other fields, of other types,
   * of none. Without it the case about that is left out.
   */
  intrude?(): Promise<void>
}

/** One guarantee of the contract. */
export interface ContractCase {
  readonly name: string
  /** Rejects where the guarantee does not hold. */
  run(): Promise<void>
}

const FOREIGN = ['', ' ', 'x', '-', 'foreign', '1-2-3-4-5-6', '☃', randomUUID(), '\u0000', '9'.repeat(400)]

/**
 * What every backplane must do, as cases for any test runner, which runs one after another. With `node:test`, for one:
 *
 * ```ts
 * for (const { name, run } of backplaneContract(harness)) test(name, run)
 * ```
 *
 * `patience` is how long what must come may take, ms: 15,000 unless told.
 */
export function backplaneContract(harness: BackplaneHarness, { patience = 15_000 } = {}): ContractCase[] {
  const cases: ContractCase[] = []
  const add = (name: string, check: (log: ContractLog) => Promise<void>) => {
    const run = async () => {
      await harness.begin()
      const log = new ContractLog(() => harness.connect(), patience)
      try {
        await check(log)
      } finally {
        await within(Promise.all(log.made.map((backplane) => backplane.close())), 'close()', patience)
      }
    }
    cases.push({ name, run })
  }

  add('it has a name, and the limits with their defaults', async (log) => {
    const { name, limits } = log.make()
    assert.match(name, /^\S+$/)
    for (const limit of ['publishTimeout', 'maxPending', 'maxPendingBytes'] as const) {
      assert.ok(Number.isSafeInteger(limits[limit]) && limits[limit] > 0, `limits.${limit} is ${limits[limit]}`)
    }
    assert.equal(limits.optional, false)
  })

  add('joining an empty log gives no history, and a place that all entries come after', async (log) => {
    const a = await log.join()
    assert.deepEqual(a.joined.history, [])
    const [cursor] = await a.backplane.publish(parcels(1))
    assert.ok(a.backplane.compare(a.joined.floor, cursor!)! < 0, 'the floor is before the first entry')
    assert.equal(a.backplane.compare(a.joined.floor, a.joined.floor), 0)
  })

  add('joining gives what is there, as it was published, after the floor', async (log) => {
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
    assert.deepEqual(a.listener.cursors, cursors, 'both processes call the places the same')
  })

  add('history is the newest entries, no more of them than asked for', async (log) => {
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

  add('history is the newest entries, no more bytes of them than asked for', async (log) => {
    const a = await log.join()
    const cursors: string[] = []
    for (let i = 0; i < 20; i++) cursors.push(...(await a.backplane.publish(parcels(1, 'x'.repeat(10_000)))))
    const { backplane, joined } = await log.join({ ...AMPLE, bytes: 100_000 })
    const { floor, history } = joined
    assert.ok(history.length <= 10, `${history.length} entries of 10,000 bytes are more than 100,000 bytes`)
    assert.ok(history.length >= 5, `${history.length} entries of 10,000 bytes are all that was given of 100,000 bytes`)
    assert.deepEqual(
      history.map(({ cursor }) => cursor),
      cursors.slice(-history.length)
    )
    assert.ok(backplane.compare(floor, cursors.at(-history.length - 1)!)! >= 0)
  })

  add('what one publishes comes to all, itself too, once, in order, under the cursors it was told', async (log) => {
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
    await settled(all)
  })

  add('several that publish at once are heard in one order by all', async (log) => {
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

  add('nothing is missing, and nothing double, between the history and what follows', async (log) => {
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
      assert.equal(listener.early, 0, 'nothing is told before it has joined')
    }
  })

  add('cursors are unique, hold neither a colon nor white space, and have one order', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const cursors: string[] = []
    for (let i = 0; i < 12; i++) {
      const { backplane } = i % 2 === 0 ? a : b
      cursors.push(...(await backplane.publish(parcels(3))))
    }
    assert.equal(new Set(cursors).size, cursors.length)
    for (const cursor of cursors) assert.match(cursor, /^[\x21-\x39\x3b-\x7e]{1,200}$/)
    const late = await log.join()
    for (const { backplane } of [a, b, late]) {
      for (const [i, first] of cursors.entries()) {
        for (const [j, second] of cursors.entries()) {
          assert.equal(
            Math.sign(backplane.compare(first, second)!),
            Math.sign(i - j),
            `compare('${first}', '${second}')`
          )
        }
      }
    }
  })

  add('what is no cursor of its log compares with nothing', async (log) => {
    const { backplane, joined } = await log.join()
    const [cursor] = await backplane.publish(parcels(1))
    for (const foreign of [...FOREIGN, `${cursor} `, ` ${cursor}`, `${cursor}x`, `x${cursor}`, `${cursor}\n`]) {
      for (const own of [cursor!, joined.floor]) {
        assert.equal(backplane.compare(foreign, own), undefined, `compare(${JSON.stringify(foreign)}, '${own}')`)
        assert.equal(backplane.compare(own, foreign), undefined, `compare('${own}', ${JSON.stringify(foreign)})`)
      }
    }
  })

  add('every field of a message comes through', async (log) => {
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
      // A decoder of UTF-8 may take the mark for its own.
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

  add('large events come through', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    const batch = parcels(4, `data: ${'ä"\u{1f600}'.repeat(40_000)}\n\n`)
    const cursors = await a.backplane.publish(batch)
    await b.listener.until(4)
    assert.deepEqual(b.listener.cursors, cursors)
    const late = await log.join()
    for (const [i, { message }] of batch.entries()) {
      assert.ok(b.listener.entries[i]!.message.body === message.body, 'its body is as it was')
      assert.ok(late.joined.history[i]!.message.body === message.body, 'its body is as it was, from history')
    }
  })

  add('the cursors of a batch are in its order', async (log) => {
    const { backplane, listener } = await log.join()
    const cursors = await backplane.publish(parcels(500))
    assert.equal(cursors.length, 500)
    assertAscending(backplane, cursors)
    assert.deepEqual((await listener.until(500)).cursors, cursors)
  })

  add('a batch that is published again is told by its message ids', async (log) => {
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
    // An engine may leave the second out by itself.
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

  add('a batch that has grown, or shrunk, by the time it is published again is there whole', async (log) => {
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

  add('entries tell when the engine got them', async (log) => {
    const { backplane, listener } = await log.join()
    await backplane.publish(parcels(1))
    const { at } = (await listener.until(1)).entries[0]!
    assert.ok(Math.abs(Date.now() - at) < 86_400_000, `it is ms since 1970: ${at}`)
  })

  add('closing ends what it opened, and nothing else', async (log) => {
    const [a, b] = [await log.join(), await log.join()]
    await a.backplane.publish(parcels(1))
    await Promise.all([a.listener.until(1), b.listener.until(1)])
    await within(b.backplane.close(), 'close()', patience)
    await assert.rejects(b.backplane.publish(parcels(1)), Error, 'publish() after close()')
    await within(b.backplane.close(), 'a second close()', patience)
    await a.backplane.publish(parcels(2))
    await a.listener.until(3)
    assert.equal(b.listener.entries.length, 1, 'nothing is told after close()')
    await within(log.make().close(), 'close() of one that nobody has joined', patience)
    assert.equal((await log.join()).joined.history.length, 3)
  })

  if (harness.interrupt && harness.resume) {
    add('join rejects where the engine is out of reach, and can be called again', async (log) => {
      const a = await log.join()
      await a.backplane.publish(parcels(2))
      await harness.interrupt!()
      const backplane = log.make()
      const listener = new ContractListener(patience)
      const attempt = within(backplane.join(AMPLE, listener), 'join()', patience)
      await assert.rejects(attempt, (error: Error) => error.message.includes(backplane.name), 'its error names it')
      await harness.resume!()
      const joined = await log.retry(() => backplane.join(AMPLE, listener))
      assert.equal(joined.history.length, 2)
      await backplane.publish(parcels(1))
      await listener.until(1)
    })

    add('out of reach publish rejects, and what is published again afterwards goes on in order', async (log) => {
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
        // The first attempt may have got there all the same.
        assert.deepEqual([...new Set(ids)].slice(0, -1), listener.first.concat(batch.map(({ messageId }) => messageId)))
        assert.equal(new Set(listener.cursors).size, listener.cursors.length, 'no entry is told twice')
        assert.ok(cursors.every((cursor) => listener.cursors.includes(cursor)))
        assert.equal(listener.gaps.length, 0)
      }
    })

    add('close does not wait for an engine out of reach', async (log) => {
      const { backplane } = await log.join()
      await harness.interrupt!()
      try {
        await within(backplane.close(), 'close()', 5000)
      } finally {
        await harness.resume!()
      }
    })
  }

  if (harness.replace) {
    add('a log that was deleted is a gap, after which the new one is heard', async (log) => {
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
        assert.ok(!newest().some(({ cursor }) => old.includes(cursor)), 'nothing of the old log is told again')
      }
    })
  }

  if (harness.keep && harness.restore) {
    add('a log that has lost its newest entries tells of the loss, to those who join later, too', async (log) => {
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
        assert.ok(listener.losses.length > 0, 'it asks for the report of the loss')
        await listener.untilCursor(cursors.at(-1)!, () => listener.newest)
        const ids = listener.newest.map(({ messageId }) => messageId)
        assert.ok(
          listener.losses.some(({ messageId }) => ids.includes(messageId)),
          'the log has the report'
        )
        assert.deepEqual(
          kept.concat(lost, after).filter(({ messageId }) => ids.includes(messageId)),
          kept.concat(after),
          'what is lost is not there, and the rest is'
        )
        assertOnce(listener)
      }
      const reports = all.flatMap(({ listener }) => listener.losses)
      const { history } = (await log.join()).joined
      assert.ok(
        reports.some(({ messageId }) => history.some((entry) => entry.messageId === messageId)),
        'who joins later finds the report'
      )
    })

    add('entries that are lost are missed, although as many have followed', async (log) => {
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
      assert.ok(a.listener.losses.length > 0, 'it asks for the report of the loss')
    })

    add(
      'a log that loses its newest entries twice in a row tells of each loss, to those who join between, too',
      async (log) => {
        const a = await log.join()
        await a.backplane.publish(parcels(2))
        await a.listener.until(2)
        await harness.keep!()
        const all: Member[] = [a]
        for (let round = 1; round <= 2; round++) {
          // Of those who have read what is lost some do not live to see the loss.
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
            assert.ok(listener.losses.length > before[i]!.losses, `it asks for the report of loss ${round}`)
          }
          const reports = all.flatMap(({ listener }, i) => listener.losses.slice(before[i]!.losses))
          const later = await log.join()
          assert.ok(
            reports.some(({ messageId }) => later.joined.history.some((entry) => entry.messageId === messageId)),
            `who joins after loss ${round} finds the report of it`
          )
          all.push(later)
        }
      }
    )

    if (harness.replace)
      add('a log that went away and is back is told to nobody again', async (log) => {
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

  if (harness.intrude) {
    add('what strangers put into the log is passed over, and nothing around it', async (log) => {
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
        assert.ok(listener.foreign.length + told.length > known.length, 'what is passed over is told')
        assert.equal(listener.gaps.length, 0)
      }
    })
  }

  return cases
}

/** What a gap's history has is not told; all else is told once. */
function assertOnce({ entries }: ContractListener): void {
  assert.equal(new Set(entries.map(({ messageId }) => messageId)).size, entries.length, 'an entry is told twice')
}

/** Nothing comes again that has come: a last entry is the next that all hear. */
async function settled(all: readonly Member[]): Promise<void> {
  const [cursor] = await all[0]!.backplane.publish(parcels(1))
  for (const { listener } of all) {
    const count = listener.entries.length
    await listener.untilCursor(cursor!)
    assert.ok(listener.entries.length <= count + 1, 'something was told twice')
  }
}
