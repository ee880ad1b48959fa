import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { EventLog, type EventLogOptions, type Position } from '../../lib/log/event-log.js'

const LOTS = 1_000_000

function logWith(bounds: Partial<EventLogOptions> = {}): EventLog {
  return new EventLog({ epoch: 'k3x9', replay: LOTS, events: LOTS, bytes: LOTS, ...bounds })
}

/** An engine's places are `p1`, `p2` and on; not all of them are events. */
function place(cursor: string): number | undefined {
  const digits = /^p(\d+)(-.*)?$/.exec(cursor)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function compare(a: string, b: string): number | undefined {
  const [first, second] = [place(a), place(b)]
  return first === undefined || second === undefined ? undefined : first - second
}

function sharedLog(floor: number, bounds: Partial<EventLogOptions> = {}): EventLog {
  const log = logWith(bounds)
  log.rebase(`p${floor}`, compare)
  return log
}

function append(log: EventLog, at: number, id?: string) {
  return log.append('data: x\n\n', { id }, `p${at}`)
}

const UNKNOWN: Position = { lost: 'unknown', missed: null }
const BEFORE_ALL: Position = { lost: 'expired', missed: null }

t.test('events are found by the cursors that an engine assigns', async (t) => {
  const log = sharedLog(10)
  t.equal(log.cursorAt(log.head), 'p10', 'an empty log begins where the engine says')
  const entries = [append(log, 12), append(log, 13, 'own'), append(log, 17)]
  t.strictSame(
    entries.map(({ id }) => id),
    ['p12', 'own', 'p17']
  )
  t.equal(entries[1]!.frame.toString(), 'id: own\ndata: x\n\n')
  t.strictSame(
    [0, 1, 2, 3].map((seq) => log.cursorAt(seq)),
    ['p10', 'p12', 'p13', 'p17']
  )
  t.strictSame(log.positionOf('own'), { seq: 2 })
  t.strictSame(log.positionOf('p13'), { seq: 2 }, 'one with an id of its own has its place all the same')
})

t.test('a cursor identifies the event at its place, and there is none between two events', async (t) => {
  const log = sharedLog(10)
  for (const at of [12, 13, 17]) append(log, at)
  const positions: [cursor: string, position: Position][] = [
    ['p9', BEFORE_ALL],
    ['p10', { seq: 0 }],
    ['p11', UNKNOWN],
    ['p12', { seq: 1 }],
    ['p15', UNKNOWN],
    [' p17 ', { seq: 3 }],
    ['p18', UNKNOWN],
    ['k3x9-1', UNKNOWN],
    ['nonsense', UNKNOWN]
  ]
  for (const [cursor, position] of positions) t.strictSame(log.positionOf(cursor), position, cursor)
})

t.test('a cursor that was assigned to another event is unknown', async (t) => {
  const log = logWith()
  log.rebase('p10-0000000', compare)
  log.append('data: x\n\n', {}, 'p12-aaaaaaa')
  log.append('data: x\n\n', {}, 'p14-bbbbbbb')
  t.strictSame(log.positionOf('p12-aaaaaaa'), { seq: 1 })
  t.strictSame(log.positionOf('p12-bbbbbbb'), UNKNOWN)
  t.strictSame(log.positionOf('p14-aaaaaaa'), UNKNOWN)
  t.strictSame(log.positionOf('p10-0000000'), { seq: 0 })
  t.strictSame(log.positionOf('p10-aaaaaaa'), { seq: 0 }, 'of the place before all events nothing more is known')
  t.strictSame(log.positionOf('p11-aaaaaaa'), UNKNOWN)
  t.strictSame(log.positionOf('p13-0000000'), { seq: 1 }, 'nor of one that was named before it had an event')
})

t.test('the cursor of a place without an event is after the event before it', async (t) => {
  const log = sharedLog(10)
  append(log, 12)
  log.addBareId('p13')
  append(log, 14)
  t.strictSame(log.positionOf('p13'), { seq: 1 })
  t.equal(log.compareWithHead('p13'), 0, 'nobody waits for it')
  for (let at = 20; at < 1020; at++) log.addBareId(`p${at}`)
  t.strictSame(log.positionOf('p13'), UNKNOWN, 'the last thousand are remembered')
  t.strictSame(log.positionOf('p20'), { seq: 2 })
  log.rebase('p2000', compare)
  t.strictSame(log.positionOf('p20'), BEFORE_ALL)
})

t.test('a cursor is compared with the newest event', async (t) => {
  t.equal(logWith().compareWithHead('p1'), undefined, 'a log of this process alone has no such names')
  const log = sharedLog(10)
  t.equal(log.compareWithHead('p10'), 0)
  t.ok(log.compareWithHead('p11')! > 0)
  append(log, 12)
  t.ok(log.compareWithHead('p11')! < 0)
  t.equal(log.compareWithHead(' p12\t'), 0)
  t.ok(log.compareWithHead('p13')! > 0)
  t.equal(log.compareWithHead('own'), undefined)
})

t.test("ids in the form of the engine's cursors are reserved", async (t) => {
  const log = logWith()
  t.ok(log.isReserved('k3x9-1'))
  t.notOk(log.isReserved('p1'))
  log.rebase('p10', compare)
  t.ok(log.isReserved('p1'))
  t.ok(log.isReserved(' p99 '))
  t.notOk(log.isReserved('order-7'))
  t.notOk(log.isReserved('k3x9-1'), 'it gives no such ids any more')
})

t.test('events from before the engine was joined are dropped, and their ids are free', async (t) => {
  const log = logWith()
  log.append('data: 1\n\n')
  log.append('data: 2\n\n', { id: 'own' })
  t.equal(log.lives, 1)
  log.rebase('p10', compare)
  t.match(log, { head: 2, oldest: 3, size: 0, bytes: 0, lives: 2 })
  t.equal(log.cursorAt(log.head), 'p10')
  for (const id of ['k3x9-1', 'k3x9-2', 'own']) t.strictSame(log.positionOf(id), UNKNOWN, id)
  t.notOk(log.has('own'))
  t.strictSame([...log.topiclessAfter(0)], [])
  append(log, 11, 'own')
  t.strictSame(log.positionOf('own'), { seq: 3 }, 'places are counted on, for those that read')
  t.strictSame(log.positionOf('p10'), { seq: 2 })
})

t.test('after a gap only ids that follow it can be resumed from', async (t) => {
  const log = sharedLog(10)
  for (const at of [11, 12]) append(log, at)
  log.rebase('p20', compare)
  for (const at of [21, 22]) append(log, at)
  t.strictSame(log.positionOf('p12'), BEFORE_ALL)
  t.strictSame(log.positionOf('p20'), { seq: 2 })
  t.strictSame(log.positionOf('p21'), { seq: 3 })
})

t.test('an event is counted with the id that it gets', async (t) => {
  const log = sharedLog(10)
  const body = 'data: x\n\n'
  t.ok(log.sizeOf(body.length, { id: 'p11' }) >= append(log, 11).size)
})

interface Model {
  /** Of all events since the log began anew. */
  places: number[]
  floor: number
  before: number
}

t.test('whatever was appended and evicted, a client resumes at the same event as in a list of all events', async () => {
  const step = fc.oneof(
    { weight: 10, arbitrary: fc.record({ gap: fc.integer({ min: 1, max: 3 }), own: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ rebase: fc.integer({ min: 0, max: 5 }) }) }
  )
  const bounds = fc.record({
    events: fc.integer({ min: 1, max: 12 }),
    replay: fc.nat(12),
    bytes: fc.constantFrom(100, LOTS)
  })
  fc.assert(
    fc.property(bounds, fc.nat(20), fc.array(step, { maxLength: 40 }), (bounds, start, steps) => {
      const log = sharedLog(start, { ...bounds, replay: Math.min(bounds.replay, bounds.events) })
      const model: Model = { places: [], floor: start, before: 0 }
      let newest = start
      for (const step of steps) {
        if ('rebase' in step) {
          model.before += model.places.length
          newest += step.rebase
          Object.assign(model, { places: [], floor: newest })
          log.rebase(`p${newest}`, compare)
        } else {
          newest += step.gap
          model.places.push(newest)
          append(log, newest, step.own ? `own-${newest}` : undefined)
        }
        for (let cursor = 0; cursor <= newest + 2; cursor++) check(log, model, cursor)
        const last = model.places.at(-1) ?? model.floor
        assert.equal(log.cursorAt(log.head), `p${last}`)
      }
    }),
    { numRuns: 300 }
  )
})

function check(log: EventLog, { places, floor, before }: Model, cursor: number): void {
  const position = log.positionOf(`p${cursor}`)
  const last = places.at(-1) ?? floor
  const had = places.filter((place) => place <= cursor).length
  const seq = before + had
  const held = [floor, ...places].slice(-(log.size + 1))
  if (cursor > last || (cursor > held[0]! && !held.includes(cursor))) assert.deepEqual(position, UNKNOWN)
  else if ('seq' in position) {
    assert.equal(position.seq, seq)
    assert.ok(seq >= log.oldestCursor, 'all that follows is held')
  } else {
    assert.equal(position.lost, 'expired')
    // What it missed is counted from an event that is held, or not at all.
    if (position.missed !== null) assert.equal(position.missed, log.head - seq)
    // The place before the oldest event is the last that can be resumed from, and a place is told by its own event.
    assert.ok(seq < log.oldestCursor || cursor < floor, `${cursor}`)
  }
}
