import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { Diagnostics } from '../../../lib/api/diagnostics.js'
import { FlushQueue } from '../../../lib/hub/clients/flush-queue.js'
import type { Shard } from '../../../lib/hub/clients/shard.js'
import { stopClock } from '../../kit/clock.js'

/** A shard that only notes when it is flushed. It has so many clients that it waits for a turn, unless told otherwise. */
function stubShard(note: (now: number) => void, { offered = 0, clients = 16, reach = 17 } = {}): Shard {
  const flush = (now: number) => {
    note(now)
    return clients
  }
  return { offered, flush, reach } as unknown as Shard
}

/** Shards of so many clients each that note their place when they are flushed, and the turns between them. */
function notingShards(clients: number[], seen: (number | 'turn')[]): Shard[] {
  return clients.map((clients, i) =>
    stubShard(
      () => {
        seen.push(i)
        // What I/O asks for in a turn comes before the next.
        setImmediate(() => {
          if (seen.at(-1) !== 'turn') seen.push('turn')
        })
      },
      { clients }
    )
  )
}

/** Waits for as many turns of the event loop as any of these tests takes. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await nextTurn()
}

t.test('shards are flushed in the order in which they asked, each once and in a turn of its own', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  const seen: (number | 'turn')[] = []
  const shards = notingShards([16, 1000, 16], seen)
  for (const shard of [...shards, ...shards]) queue.add(shard)
  t.strictSame(seen, [], 'not at once')
  await turns()
  t.strictSame(seen, [0, 'turn', 1, 'turn', 2, 'turn'])
})

t.test('shards with few clients to visit share a turn, until it has sixteen', async (t) => {
  const cases: [clients: number[], seen: (number | 'turn')[]][] = [
    [
      [1, 1, 1],
      [0, 1, 2, 'turn']
    ],
    [
      [15, 1, 1, 15],
      [0, 1, 'turn', 2, 3, 'turn']
    ],
    [
      [15, 15, 15, 15],
      [0, 1, 'turn', 2, 3, 'turn']
    ],
    [
      [0, 0, 16, 0, 1],
      [0, 1, 2, 'turn', 3, 4, 'turn']
    ]
  ]
  for (const [clients, expected] of cases) {
    const queue = new FlushQueue(new Diagnostics())
    const seen: (number | 'turn')[] = []
    for (const shard of notingShards(clients, seen)) queue.add(shard)
    await turns()
    t.strictSame(seen, expected, `${clients} clients`)
  }
})

t.test('shards get the time of a monotonic clock', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  const times: number[] = []
  const shard = stubShard((now) => void times.push(now))
  const before = performance.now()
  queue.add(shard)
  await turns()
  queue.add(shard)
  queue.hurry(1)
  const after = performance.now()
  t.equal(times.length, 2)
  t.ok(before <= times[0]! && times[0]! <= times[1]! && times[1]! <= after)
  queue.stop()
})

t.test('a shard that is added during its flush is flushed again, after those that wait', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  const seen: string[] = []
  const first = stubShard(() => {
    seen.push('first')
    if (seen.length < 3) queue.add(first)
  })
  queue.add(first)
  queue.add(stubShard(() => seen.push('second')))
  await turns()
  t.strictSame(seen, ['first', 'second', 'first'])
})

t.test('a broadcast within a flush does not make the shards that wait share a turn', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  const seen: (number | 'turn')[] = []
  const [first, second, third, late] = notingShards([16, 16, 16, 16], seen) as [Shard, Shard, Shard, Shard]
  const flush = first.flush.bind(first)
  first.flush = (now) => {
    queue.add(late)
    return flush(now)
  }
  for (const shard of [first, second, third]) queue.add(shard)
  await turns()
  t.strictSame(seen, [0, 'turn', 1, 'turn', 2, 'turn', 3, 'turn'])
})

t.test('an empty queue can be used again', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  let flushes = 0
  const shard = stubShard(() => flushes++)
  for (let i = 1; i <= 3; i++) {
    queue.add(shard)
    await turns()
    t.equal(flushes, i)
  }
})

t.test(
  'in a hurry, shards that lack an event which is about to leave are flushed at once, and no others',
  async (t) => {
    const queue = new FlushQueue(new Diagnostics())
    const seen: string[] = []
    const lacking = stubShard(() => seen.push('lacking'), { offered: 4 })
    const offered = stubShard(() => seen.push('offered'), { offered: 5 })
    const idle = stubShard(() => seen.push('idle'))
    queue.hurry(5)
    t.strictSame(seen, [], 'nobody asked')
    queue.add(lacking)
    queue.add(offered)
    queue.hurry(5)
    t.strictSame(seen, ['lacking'])
    await turns()
    t.strictSame(seen, ['lacking', 'lacking', 'offered'], 'what came since goes out in a turn')
    t.notOk(seen.includes('idle'), `${idle.offered}`)
  }
)

t.test('a stopped queue flushes nothing more, unless a shard is added', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  const seen: string[] = []
  queue.stop()
  const stopping = stubShard(() => {
    seen.push('stopping')
    queue.stop()
  })
  queue.add(stopping)
  queue.add(stubShard(() => seen.push('second')))
  await turns()
  t.strictSame(seen, ['stopping'])
  queue.add(stubShard(() => seen.push('third')))
  queue.stop()
  queue.hurry(10)
  await turns()
  t.strictSame(seen, ['stopping'])
  queue.add(stubShard(() => seen.push('fourth')))
  await turns()
  t.strictSame(seen, ['stopping', 'fourth'])
})

t.test(
  'few clients are flushed as soon as the code that broadcasts has returned, without a turn of the event loop',
  async (t) => {
    stopClock(t)
    const queue = new FlushQueue(new Diagnostics())
    const seen: string[] = []
    const few = (name: string, reach: number) => stubShard(() => seen.push(name), { reach })
    await Promise.resolve().then(() => {
      queue.add(few('a', 1))
      queue.add(few('b', 7))
      t.strictSame(seen, [], 'not within the call')
      queueMicrotask(() => t.strictSame(seen, [], 'nor between microtasks, which may broadcast more'))
    })
    await new Promise(process.nextTick)
    t.strictSame(seen, ['a', 'b'])
    t.ok(queue.isIdle)
  }
)

t.test('a burst for single clients waits for turns, in which its events share writes', async (t) => {
  const clock = stopClock(t)
  const queue = new FlushQueue(new Diagnostics())
  let flushes = 0
  const one = stubShard(() => flushes++, { reach: 1, clients: 1 })
  for (let i = 0; i < 16; i++) {
    queue.add(one)
    await new Promise(process.nextTick)
    t.equal(flushes, i + 1)
  }
  queue.add(one)
  await new Promise(process.nextTick)
  t.equal(flushes, 16, 'the seventeenth within a millisecond')
  queue.add(one)
  await turns()
  t.equal(flushes, 17, 'shared by two events')
  clock.advance(1)
  queue.add(one)
  await new Promise(process.nextTick)
  t.equal(flushes, 18, 'a millisecond later')
})

t.test('a queue that is stopped while it flushes few clients flushes no others', async (t) => {
  const queue = new FlushQueue(new Diagnostics())
  const seen: string[] = []
  queue.add(
    stubShard(
      () => {
        seen.push('stopping')
        queue.stop()
      },
      { reach: 1 }
    )
  )
  queue.add(stubShard(() => seen.push('second'), { reach: 1 }))
  await turns()
  t.strictSame(seen, ['stopping'])
})
