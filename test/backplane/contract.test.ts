import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { BackplaneEntry, BackplaneEvent, BackplaneListener, Joined } from '../../lib/backplane/backplane.js'
import { backplaneContract } from '../../lib/backplane/contract/contract.js'
import { faultOf } from '../../lib/backplane/entry-format.js'
import { MemoryEngine } from '../../lib/backplane/memory.js'
import { deferred } from '../kit/deferred.js'
import { type Fault, MemoryHarness } from '../kit/memory-harness.js'

t.test('the backplane in memory passes the contract suite', async (t) => {
  for (const { name, run } of backplaneContract(new MemoryHarness())) {
    await t.test(name, async (t) => {
      await t.resolves(run())
    })
  }
})

t.test('cases that a harness does not support are skipped', async (t) => {
  const whole = new MemoryHarness()
  const bare = { begin: () => whole.begin(), connect: () => whole.connect() }
  t.equal(backplaneContract(whole).length - backplaneContract(bare).length, 9)
})

/** A backplane that changes what it tells. */
function telling(change: (entries: readonly BackplaneEntry[], tell: BackplaneListener) => void): Fault {
  return (right) => ({
    join: (bounds, listener) =>
      right.join(bounds, { ...bind(listener), onEntries: (entries) => change(entries, listener) })
  })
}

function bind(listener: BackplaneListener): BackplaneListener {
  return {
    onEntries: (entries) => listener.onEntries(entries),
    onGap: (joined) => listener.onGap(joined),
    onLoss: () => listener.onLoss(),
    onForeign: (cursor, reason) => listener.onForeign(cursor, reason),
    onState: (isConnected) => listener.onState(isConnected)
  }
}

function joining(change: (joined: Joined) => Joined): Fault {
  return (right) => ({ join: async (bounds, listener) => change(await right.join(bounds, listener)) })
}

/** A backplane that loses a field of events. */
function losing(field: keyof BackplaneEvent): Fault {
  return telling((entries, listener) =>
    listener.onEntries(
      entries.map((entry) => ({
        ...entry,
        message: { ...entry.message, [field]: undefined } as unknown as BackplaneEvent
      }))
    )
  )
}

const AMPLE = Number.MAX_SAFE_INTEGER

const faults: Record<string, Fault> = {
  'passes on entries twice': telling((entries, listener) => {
    listener.onEntries(entries)
    listener.onEntries(entries)
  }),
  'loses an entry here and there': telling((entries, listener) =>
    listener.onEntries(entries.filter(({ cursor }) => !cursor.endsWith('5')))
  ),
  'passes on a batch backwards': telling((entries, listener) => listener.onEntries([...entries].reverse())),
  'passes on entries late, in another order': (right) => {
    let isSecond = false
    const late = telling((entries, listener) => {
      isSecond = !isSecond
      setTimeout(() => listener.onEntries(entries), isSecond ? 5 : 0)
    })
    return late(right, new MemoryEngine())
  },
  'passes on entries before it has joined': (right) => ({
    join: async (bounds, listener) => {
      const told = deferred()
      const onEntries = (entries: readonly BackplaneEntry[]) => {
        listener.onEntries(entries)
        told.resolve()
      }
      const joined = await right.join(bounds, { ...bind(listener), onEntries })
      await Promise.race([told.promise, sleep(100)])
      return joined
    }
  }),
  'listens only after it has read the history': (right) => ({
    join: async (bounds, listener) => {
      const joined = await right.join(bounds, listener)
      await right.close()
      return joined
    }
  }),
  'does not pass on its own entries': (right) => {
    const own = new Set<string>()
    return {
      publish: async (batch) => {
        for (const { messageId } of batch) own.add(messageId)
        return right.publish(batch)
      },
      ...telling((entries, listener) => listener.onEntries(entries.filter(({ messageId }) => !own.has(messageId))))(
        right,
        new MemoryEngine()
      )
    }
  },
  'gives all of the history': (right) => ({
    join: (bounds, listener) => right.join({ ...bounds, events: AMPLE }, listener)
  }),
  'gives all bytes of the history': (right) => ({
    join: (bounds, listener) => right.join({ ...bounds, bytes: AMPLE }, listener)
  }),
  'gives no history': joining(({ floor }) => ({ floor, history: [] })),
  'gives the history backwards': joining(({ floor, history }) => ({ floor, history: [...history].reverse() })),
  'has the floor at the oldest entry': joining(({ floor, history }) => ({
    floor: history[0]?.cursor ?? floor,
    history
  })),
  'has the floor before entries that it leaves out': joining(({ floor, history }) => ({
    floor: floor.replace(/-.*/, '-0'),
    history
  })),
  'finds all cursors equal': () => ({ compare: () => 0 }),
  'compares cursors as texts': (right) => ({
    compare: (a, b) => right.compare(a, b) && (a < b ? -1 : 1)
  }),
  'compares texts that are not cursors': (right) => ({ compare: (a, b) => right.compare(a, b) ?? -1 }),
  'compares texts that are not cursors, in second place': (right) => ({
    compare: (a, b) => (right.compare(a, a) === 0 ? (right.compare(a, b) ?? 1) : undefined)
  }),
  'acknowledges the cursors of a batch backwards': (right) => ({
    publish: async (batch) => [...(await right.publish(batch))].reverse()
  }),
  'acknowledges only the first of a batch': (right) => ({
    publish: async (batch) => (await right.publish(batch)).slice(0, 1)
  }),
  'gives messages other ids': (right) => ({
    publish: (batch) => right.publish(batch.map((parcel, i) => ({ ...parcel, messageId: `x:${i}` })))
  }),
  'gives times in seconds': telling((entries, listener) =>
    listener.onEntries(entries.map((entry) => ({ ...entry, at: entry.at / 1000 })))
  ),
  'loses topics': losing('topic'),
  'loses own ids': losing('id'),
  'loses except': losing('except'),
  'loses that data is text': losing('isText'),
  'loses idempotency keys': losing('request'),
  'loses the kind of a message': losing('kind'),
  'removes a byte order mark': telling((entries, listener) =>
    listener.onEntries(
      entries.map((entry) => ({
        ...entry,
        message: { ...entry.message, body: entry.message.body.replace('\ufeff', '') }
      }))
    )
  ),
  'cuts large events': (right) => ({
    publish: (batch) =>
      right.publish(
        batch.map((parcel) => ({
          ...parcel,
          message: { ...parcel.message, body: parcel.message.body.slice(0, 65_536) }
        }))
      )
  }),
  'stops at a foreign entry': (right) => {
    let isStopped = false
    return telling((entries, listener) => {
      isStopped ||= entries.some((entry) => faultOf(entry) !== undefined)
      if (!isStopped) listener.onEntries(entries)
    })(right, new MemoryEngine())
  },
  'cannot be joined if the log has a foreign entry': joining((joined) => {
    if (joined.history.some((entry) => faultOf(entry) !== undefined)) throw new Error('what is that?')
    return joined
  }),
  'skips foreign entries without reporting them': (right) => ({
    join: async (bounds, listener) => {
      const known = (entries: readonly BackplaneEntry[]) => entries.filter((entry) => faultOf(entry) === undefined)
      const onEntries = (entries: readonly BackplaneEntry[]) => listener.onEntries(known(entries))
      const joined = await right.join(bounds, { ...bind(listener), onEntries })
      return { ...joined, history: known(joined.history) }
    }
  }),
  'closes other backplanes, too': (right, engine) => ({
    close: async () => {
      engine.listeners.clear()
      await right.close()
    }
  }),
  'publishes after it was closed': (right) => {
    let isClosed = false
    return {
      publish: async (batch) => (isClosed ? [] : right.publish(batch)),
      close: async () => {
        isClosed = true
        await right.close()
      }
    }
  },
  'passes on entries after it was closed': () => ({ close: async () => {} }),
  'cannot be joined again': (right) => {
    let isTried = false
    return {
      join: async (bounds, listener) => {
        if (isTried) throw new Error('the backplane memory was joined before')
        isTried = true
        return right.join(bounds, listener)
      }
    }
  },
  'publishes while its engine is out of reach': (right) => ({
    publish: (batch) => right.publish(batch).catch(() => batch.map(({ messageId }) => messageId))
  }),
  'does not report its state': (right) => ({
    join: (bounds, listener) => right.join(bounds, { ...bind(listener), onState: () => {} })
  }),
  'does not report a loss': (right) => ({
    join: (bounds, listener) =>
      right.join(bounds, {
        ...bind(listener),
        onLoss: () => ({ messageId: 'none:1', message: { kind: 'loss', body: '' } })
      })
  }),
  'reports only the first loss': (right) => {
    let isReported = false
    return {
      join: (bounds, listener) =>
        right.join(bounds, {
          ...bind(listener),
          onLoss: () => {
            if (isReported) return { messageId: 'none:1', message: { kind: 'loss', body: '' } }
            isReported = true
            return listener.onLoss()
          }
        })
    }
  },
  'passes on restored entries again': (right) => ({
    join: (bounds, listener) =>
      right.join(bounds, {
        ...bind(listener),
        onGap: (joined) => {
          listener.onGap({ ...joined, history: [] })
          listener.onEntries(joined.history)
        }
      })
  }),
  'does not report a gap': (right) => ({
    join: (bounds, listener) => right.join(bounds, { ...bind(listener), onGap: () => {} })
  })
}

t.test('the suite reports a backplane that', async (t) => {
  t.jobs = 8
  for (const [what, fault] of Object.entries(faults)) {
    t.test(what, async (t) => {
      const complaints: string[] = []
      for (const { name, run } of backplaneContract(new MemoryHarness(fault), { patience: 250 })) {
        await run().catch(() => complaints.push(name))
      }
      t.ok(complaints.length > 0)
      t.comment(complaints.join('; '))
    })
  }
})
