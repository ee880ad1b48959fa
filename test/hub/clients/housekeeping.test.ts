import t, { type Test } from 'tap'
import type { Client } from '../../../lib/hub/clients/client.js'
import type { CareLimits, Home } from '../../../lib/hub/clients/client-context.js'
import { Housekeeping } from '../../../lib/hub/clients/housekeeping.js'
import { Shard } from '../../../lib/hub/clients/shard.js'
import { Audiences } from '../../../lib/log/audience.js'
import { EventLog } from '../../../lib/log/event-log.js'
import { stopClock } from '../../kit/clock.js'

const log = new EventLog({ epoch: 'e', replay: 1, events: 1, bytes: 1 })
const { everyone } = new Audiences()

/** A shard of clients that only note when they are visited. */
class StubShard extends Shard {
  readonly visits: { client: number; now: number; limits: CareLimits }[] = []

  constructor(...numbers: number[]) {
    super(log, () => {})
    for (const number of numbers) {
      const tend = (now: number, limits: CareLimits) => this.visits.push({ client: number, now, limits })
      this.add({ number, audience: everyone, tend, settleIn() {} } as unknown as Client)
    }
  }

  get visited(): number[] {
    return this.visits.map(({ client }) => client)
  }
}

/** Intervals that pass when the test says so. */
class StubTimers {
  readonly running = new Set<{ delay: number; turn: () => void; unref(): void }>()

  constructor(t: Test) {
    t.intercept(globalThis, 'setInterval', {
      value: (turn: () => void, delay: number) => {
        const timer = { delay, turn, unref() {} }
        this.running.add(timer)
        return timer
      }
    })
    t.intercept(globalThis, 'clearInterval', { value: (timer: never) => this.running.delete(timer) })
  }

  get only() {
    const [timer, ...others] = this.running
    if (timer === undefined || others.length > 0) throw new Error(`${this.running.size} timers are running`)
    return timer
  }

  /** Turns that begin within so many ms. */
  within(ms: number): number {
    return Math.floor(ms / this.only.delay)
  }

  turn(times = 1): void {
    for (let i = 0; i < times; i++) this.only.turn()
  }
}

function caretakerOf(
  shards: Shard[],
  limits: Partial<CareLimits>,
  afterTurn: (now: number) => void = () => {}
): Housekeeping {
  const none = Number.POSITIVE_INFINITY
  const all = { keepAliveInterval: none, stallTimeout: none, maxConnectionAge: none, ...limits }
  return new Housekeeping(shards, all, afterTurn)
}

function ascending(a: number, b: number): number {
  return a - b
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number)
}

/** Shortest limits, ms: from the least that turns can meet, past those at which their length or number changes. */
const LIMITS = [40, 41, 79, 80, 100, 1000, 1280, 1281, 30_000, 60_000, 256_000, 300_000]

t.test('no timer is started where no keepalive and no limit is set', async (t) => {
  const timers = new StubTimers(t)
  const caretaker = caretakerOf([new StubShard(0)], {})
  caretaker.start()
  t.equal(timers.running.size, 0)
  t.doesNotThrow(() => caretaker.stop())
})

t.test('every client is visited in each eighth of the shortest limit, whatever the limits', async (t) => {
  const timers = new StubTimers(t)
  const pairs = [Number.POSITIVE_INFINITY, 2 ** 31 - 1].flatMap((longer) =>
    LIMITS.flatMap((limit) => [
      { keepAliveInterval: limit, stallTimeout: longer, maxConnectionAge: longer },
      { keepAliveInterval: longer, stallTimeout: limit, maxConnectionAge: longer },
      { keepAliveInterval: longer, stallTimeout: longer, maxConnectionAge: limit }
    ])
  )
  for (const limits of pairs) {
    const { keepAliveInterval, stallTimeout, maxConnectionAge } = limits
    const shards = [new StubShard(...upTo(50).map((n) => 2 * n)), new StubShard(1, 77, 5, 31, 33)]
    const caretaker = caretakerOf(shards, limits)
    caretaker.start()
    for (let round = 1; round <= 3; round++) {
      for (const { visits } of shards) visits.length = 0
      timers.turn(timers.within(Math.min(...Object.values(limits)) / 8))
      t.strictSame(
        shards.map(({ visited }) => new Set(visited)),
        shards.map((shard) => new Set(Array.from(shard.clients(), ({ number }) => number))),
        `keepalive ${keepAliveInterval}, stall ${stallTimeout}, age ${maxConnectionAge}, round ${round}`
      )
    }
    caretaker.stop()
  }
})

t.test('with limits shorter than a turn can be, each turn visits every client', async (t) => {
  const timers = new StubTimers(t)
  for (const limit of [1, 7, 39]) {
    const shard = new StubShard(0, 1, 2, 33)
    const caretaker = caretakerOf([shard], { keepAliveInterval: limit })
    caretaker.start()
    t.equal(timers.only.delay, 5)
    timers.turn(2)
    for (const visit of [shard.visited.slice(0, 4), shard.visited.slice(4)]) {
      t.strictSame(visit.sort(ascending), [0, 1, 2, 33], `${limit} ms`)
    }
    caretaker.stop()
  }
})

t.test('after a standstill of the process no client counts as stalled in the first turn', async (t) => {
  const timers = new StubTimers(t)
  const clock = stopClock(t)
  const shard = new StubShard(0)
  // With few phases each turn visits the client. Turns are late by an eighth of the limit, or by a second.
  for (const [stallTimeout, late] of [
    [40, 1000],
    [60_000, 7500]
  ] as const) {
    const caretaker = caretakerOf([shard], { keepAliveInterval: 40, stallTimeout })
    caretaker.start()
    for (const [passed, expected] of [
      [late, stallTimeout],
      [late + 1, Number.POSITIVE_INFINITY],
      [late, stallTimeout]
    ] as const) {
      clock.advance(passed)
      timers.turn()
      t.equal(shard.visits.at(-1)!.limits.stallTimeout, expected)
    }
    caretaker.stop()
  }
})

t.test('a round is spread evenly over turns, so that thousands of keepalives are not written in one', async (t) => {
  const timers = new StubTimers(t)
  const shards = [0, 1, 2, 3].map((n) => new StubShard(...upTo(3200).filter((number) => number % 4 === n)))
  caretakerOf(shards, { keepAliveInterval: 30_000, stallTimeout: 60_000 }).start()
  const visited = () => shards.flatMap((shard) => shard.visited)
  const byTurn: number[] = []
  for (let turn = 0; turn < 32; turn++) {
    const before = visited().length
    timers.turn()
    byTurn.push(visited().length - before)
  }
  t.strictSame(byTurn, new Array(32).fill(100))
  t.equal(new Set(visited()).size, 3200, 'and nobody is visited twice')
})

t.test('clients that come and go during a round keep no other client from being visited', async (t) => {
  const timers = new StubTimers(t)
  const visits: number[] = []
  const shard = new Shard(log, () => {})
  const leaves = new Map<number, () => void>()
  const join = (number: number) => {
    const client = {
      audience: everyone,
      settleIn: (home: Home) => leaves.set(number, () => home.leave(client)),
      tend: () => visits.push(number)
    } as unknown as Client
    shard.add(client)
  }
  const leave = (number: number) => {
    leaves.get(number)!()
    leaves.delete(number)
  }
  for (const number of upTo(64)) join(number)
  caretakerOf([shard], { keepAliveInterval: 30_000 }).start()
  timers.turn(16)
  t.equal(visits.length, 32)
  const visited = new Set(visits)
  const gone = upTo(64).filter((number) => number % 3 === 0)
  for (const number of gone) leave(number)
  for (const number of [100, 101, 102]) join(number)
  timers.turn(16)
  const unseen = upTo(64).filter((number) => !visited.has(number) && !gone.includes(number))
  for (const number of unseen) t.ok(visits.includes(number), `${number}`)
  visits.length = 0
  timers.turn(32)
  t.strictSame(new Set(visits), new Set(leaves.keys()))
})

t.test('a short limit spreads its rounds over fewer turns, and a long one waits no longer than a second', async (t) => {
  const rounds: [limit: number, turns: number][] = [
    [40, 1],
    [79, 1],
    [80, 2],
    [640, 16],
    [1279, 31],
    [1280, 32],
    [30_000, 32],
    [2 ** 31 - 1, 32]
  ]
  const timers = new StubTimers(t)
  for (const [limit, turns] of rounds) {
    const shard = new StubShard(7)
    const caretaker = caretakerOf([shard], { stallTimeout: limit })
    caretaker.start()
    const { delay } = timers.only
    t.ok(delay >= 5 && delay <= 1000, `a turn each ${delay} ms`)
    const visitedIn: number[] = []
    for (let turn = 0; turn < 3 * turns; turn++) {
      const before = shard.visits.length
      timers.turn()
      if (shard.visits.length > before) visitedIn.push(turn)
    }
    const [first = Number.NaN] = visitedIn
    t.strictSame(visitedIn, [first, first + turns, first + 2 * turns], `${limit} ms`)
    caretaker.stop()
  }
})

t.test('each turn passes the same monotonic time to shards and to its listener', async (t) => {
  const timers = new StubTimers(t)
  const limits = { keepAliveInterval: 40, stallTimeout: 60_000, maxConnectionAge: 60 }
  const shards = [new StubShard(0), new StubShard(1)]
  const turns: number[] = []
  caretakerOf(shards, limits, (now) => turns.push(now)).start()
  t.strictSame(turns, [], 'nothing happens before the first')
  const before = performance.now()
  timers.turn(2)
  const after = performance.now()
  t.equal(turns.length, 2)
  t.ok(before <= turns[0]! && turns[0]! <= turns[1]! && turns[1]! <= after)
  for (const { visits } of shards) {
    t.strictSame(
      visits.map(({ now, limits }) => ({ now, limits })),
      turns.map((now) => ({ now, limits }))
    )
  }
})

t.test('a turn calls its listener last, once every shard has been visited', async (t) => {
  const timers = new StubTimers(t)
  const shards = [new StubShard(0), new StubShard(0)]
  const visited: number[] = []
  caretakerOf(shards, { keepAliveInterval: 40 }, () => {
    visited.push(shards.reduce((sum, { visits }) => sum + visits.length, 0))
  }).start()
  timers.turn(2)
  t.strictSame(visited, [2, 4])
})

t.test('its timer does not keep the process alive, and no turn runs once it has been stopped', async (t) => {
  const begin = globalThis.setInterval
  const begun: { timer: NodeJS.Timeout; delay: number }[] = []
  t.intercept(globalThis, 'setInterval', {
    value: (turn: () => void, delay: number) => {
      const timer = begin(turn, delay)
      begun.push({ timer, delay })
      return timer
    }
  })
  let turns = 0
  let turned = () => {}
  const caretaker = caretakerOf([new StubShard(0)], { keepAliveInterval: 40 }, () => {
    turns++
    turned()
  })
  caretaker.start()
  t.teardown(() => caretaker.stop())
  t.strictSame(
    begun.map(({ timer }) => timer.hasRef()),
    [false]
  )

  const afterTurns = (count: number) =>
    new Promise<void>((resolve) => {
      turned = () => {
        if (--count === 0) resolve()
      }
    })
  // Something must keep this process alive meanwhile.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  await afterTurns(2)
  caretaker.stop()
  const atStop = turns
  // Timers of the same delay go off in order: three turns of this one would be turns of that one, too.
  await new Promise<void>((resolve) => {
    let others = 0
    const other = setInterval(() => {
      if (++others < 3) return
      clearInterval(other)
      resolve()
    }, begun[0]!.delay)
  })
  t.equal(turns, atStop)
  caretaker.stop()
})
