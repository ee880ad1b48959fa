import { setImmediate as turn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { BackplaneEntry, BackplaneListener, Joined, Parcel } from '../../lib/backplane/backplane.js'
import { IdempotencyKeys } from '../../lib/backplane/idempotency.js'
import { resolveLimits } from '../../lib/backplane/limits.js'
import { Mirror } from '../../lib/backplane/mirror.js'
import { placeName } from '../../lib/log/place-name.js'
import { type Deferred, deferred } from '../kit/deferred.js'
import { LibTimers } from '../kit/lib-timers.js'
import { type LogLine, LogLines } from '../kit/log-lines.js'
import { withTimeout } from '../kit/patience.js'
import { Watch } from '../kit/watch.js'

interface Options {
  optional?: boolean
}

/** A log that several processes share, seen from one of them, with an engine that does what the test says. */
class Setup {
  /** What the process's own log was told. */
  readonly told: string[] = []
  readonly joins: { answer: Deferred<Joined>; listener: BackplaneListener }[] = []
  readonly batches: { batch: readonly Parcel[]; answer: Deferred<readonly string[]> }[] = []
  readonly log = new LogLines()
  closes = 0
  readonly shared: Mirror
  readonly #watch = new Watch(() => JSON.stringify(this.told))
  #head = 0
  #messages = 0
  #closed: Promise<void> | undefined

  constructor(t: Test, options: Options = {}) {
    const backplane = {
      name: 'fake',
      limits: resolveLimits(options),
      join: (_bounds: unknown, listener: BackplaneListener) => {
        const answer = deferred<Joined>()
        this.joins.push({ answer, listener })
        this.#watch.changed()
        return answer.promise
      },
      publish: (batch: readonly Parcel[]) => {
        const answer = deferred<readonly string[]>()
        this.batches.push({ batch, answer })
        this.#watch.changed()
        return answer.promise
      },
      compare: (a: string, b: string) => Number(a) - Number(b),
      close: async () => {
        this.closes++
      }
    }
    const mirror = {
      answers: new IdempotencyKeys(100),
      has: () => false,
      isReserved: (id: string) => /^\d+$/.test(id),
      append: ({ body }: { body: string }, cursor: string) => {
        this.#head = Number(cursor.split('-')[0])
        this.told.push(body.slice('data: '.length, -2))
        return cursor
      },
      hearRun: () => {},
      onState: () => {},
      addBarePlace: (place: string) => {
        this.told.push(`bare ${place.split('-')[0]}`)
      },
      order: ({ body }: { body: string }) => {
        this.told.push(`disconnect ${JSON.parse(body).selector.id}`)
      },
      compareWithHead: (cursor: string) => (/^\d+$/.test(cursor) ? Number(cursor) - this.#head : undefined),
      rebase: (floor: string) => {
        this.#head = Number(floor.split('-')[0])
        this.told.push(`rebase ${this.#head}`)
      },
      skipGap: () => {
        this.told.push('skip')
      }
    }
    const logAt = (level: number) => (fields: object, msg: string) =>
      this.log.write(JSON.stringify({ level, msg, ...fields } satisfies LogLine))
    const logger = { debug: logAt(20), warn: logAt(40), error: logAt(50) }
    this.shared = new Mirror(backplane, { events: 10, bytes: 1000 }, mirror, logger)
    t.teardown(() => this.close())
  }

  close(): Promise<void> {
    this.#closed ??= withTimeout(this.shared.close(), 'the closing')
    return this.#closed
  }

  /** The listener of the attempt to join that has come to the engine as the `number`-th. */
  async joining(number = 1) {
    return this.#watch.until(() => this.joins[number - 1], `attempt ${number} to join`)
  }

  async batch(number = 1) {
    return this.#watch.until(() => this.batches[number - 1], `batch ${number}`)
  }

  async join(floor = '0', ...history: BackplaneEntry[]): Promise<BackplaneListener> {
    const joined = this.shared.join()
    const { answer, listener } = await this.joining()
    answer.resolve({ floor, history })
    await joined
    return listener
  }

  entry(cursor: number, kind: 'event' | 'disconnect' = 'event', at = Date.now()): BackplaneEntry {
    const text = `${kind} ${cursor}`
    const body = kind === 'event' ? `data: ${text}\n\n` : JSON.stringify({ selector: { id: text } })
    const message = { kind, body } as const
    return { cursor: String(cursor), messageId: `other:${++this.#messages}`, at, message }
  }

  linesAt(level: number): string[] {
    return this.log.matching((line) => line.level === level).map(({ msg }) => msg)
  }
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise.then(settle, settle)
  await turn()
  return settled
}

t.test('on joining, the log is filled with the history, and continues from there', async (t) => {
  const s = new Setup(t)
  const listener = await s.join('3', s.entry(4), s.entry(5, 'disconnect'), s.entry(6))
  listener.onEntries([s.entry(7), s.entry(8, 'disconnect')])
  t.strictSame(s.told, ['rebase 3', 'event 4', 'event 6', 'skip', 'event 7', 'disconnect disconnect 8'])
})

t.test('messages published before the backplane has joined wait until it has', async (t) => {
  const s = new Setup(t)
  t.ok(s.shared.isInUse)
  const ids = s.shared.publish([{ kind: 'event', body: 'early' }])
  await turn()
  t.equal(s.batches.length, 0)
  t.match(s.shared.stats, { name: 'fake', connected: false, pending: 1, lost: 0, lag: null })
  await s.join()
  const { batch, answer } = await s.batch()
  t.equal(batch[0]!.message.body, 'early')
  answer.resolve(['1'])
  t.strictSame(await ids, [placeName('1', batch[0])])
  t.match(s.shared.stats, { connected: true, pending: 0 })
})

t.test('stats tell how late events are, and never a negative time', async (t) => {
  const s = new Setup(t)
  const listener = await s.join()
  listener.onEntries([])
  t.equal(s.shared.stats.lag, null)
  listener.onEntries([s.entry(1, 'event', Date.now() - 60_000)])
  t.ok(s.shared.stats.lag! >= 60_000 && s.shared.stats.lag! < 90_000)
  listener.onEntries([s.entry(2, 'event', Date.now() + 60_000)])
  t.equal(s.shared.stats.lag, 0, 'clocks differ')
})

t.test('the app fails to start if the engine cannot be joined', async (t) => {
  const s = new Setup(t)
  const joined = s.shared.join()
  const failure = new Error('nobody is there')
  ;(await s.joining()).answer.reject(failure)
  await t.rejects(joined, failure)
  t.strictSame(s.log.lines, [])
})

t.test('an optional engine is tried again until it can be joined', async (t) => {
  const s = new Setup(t, { optional: true })
  const joined = s.shared.join()
  ;(await s.joining(1)).answer.reject(new Error('nobody is there'))
  await joined
  t.notOk(s.shared.isInUse, 'until then the process serves itself')
  t.strictSame(s.linesAt(40), [
    'SSE: the backplane fake cannot be joined; until it can, clients get the events of this process alone'
  ])
  ;(await s.joining(2)).answer.reject(new Error('still nobody'))
  ;(await s.joining(3)).answer.resolve({ floor: '7', history: [s.entry(8)] })
  await s.log.waitFor('SSE: the backplane fake has been joined; clients get the events of all processes')
  t.ok(s.shared.isInUse)
  t.strictSame(s.told, ['rebase 7', 'event 8', 'skip'], 'its clients go on from the newest')
  t.equal(s.linesAt(40).length, 2, 'attempts are not worth a line each')
})

t.test('closing ends the attempts to join', async (t) => {
  const timers = new LibTimers(t)
  const s = new Setup(t, { optional: true })
  const joined = s.shared.join()
  ;(await s.joining()).answer.reject(new Error('nobody is there'))
  await joined
  await s.close()
  await turn()
  t.equal(s.joins.length, 1)
  t.strictSame(timers.pending, [])
})

t.test('a mirror that is closed while it joins leaves the engine again', async (t) => {
  const s = new Setup(t)
  const joined = s.shared.join()
  const { answer } = await s.joining()
  await s.close()
  t.equal(s.closes, 1)
  answer.resolve({ floor: '3', history: [s.entry(4)] })
  await joined
  t.equal(s.closes, 2)
  t.strictSame(s.told, [])
  t.notOk(s.shared.stats.connected)
})

t.test('an optional mirror that is closed during its second attempt to join leaves the engine, too', async (t) => {
  const s = new Setup(t, { optional: true })
  const joined = s.shared.join()
  ;(await s.joining(1)).answer.reject(new Error('nobody is there'))
  await joined
  const { answer } = await s.joining(2)
  await s.close()
  answer.resolve({ floor: '3', history: [] })
  await turn()
  t.equal(s.closes, 2)
  t.strictSame(s.told, [])
  t.strictSame(s.log.matching(/has been joined/), [], 'and says nothing of a success')
})

t.test('a gap is logged, and clients are told of it after the events they already have', async (t) => {
  const s = new Setup(t)
  const known = s.entry(1)
  const listener = await s.join('0', known)
  const missed = s.entry(9)
  listener.onGap({ floor: '0', history: [{ ...known }, missed] })
  t.strictSame(s.told, ['rebase 0', 'event 1', 'skip', 'rebase 0', 'event 1', 'skip', 'event 9'])
  t.match(s.linesAt(40), [/have left the backplane/])
})

/** As the engine has what `onLoss` gives. */
function lossAt(cursor: number, listener: BackplaneListener, at = Date.now()): BackplaneEntry {
  return { ...listener.onLoss(), cursor: String(cursor), at }
}

t.test('when the engine has lost entries, earlier ids are no longer valid, and clients are told once', async (t) => {
  const s = new Setup(t)
  const known = s.entry(1)
  const listener = await s.join('0', known)
  const [early, loss, late] = [s.entry(2), lossAt(3, listener), s.entry(4)]
  s.told.length = 0
  listener.onGap({ floor: '0', history: [known, early, loss, late] })
  t.strictSame(s.told, ['rebase 0', 'event 1', 'event 2', 'rebase 3', 'skip', 'event 4'])
  t.match(s.linesAt(40), [/has lost events; clients/])
  const [again] = [lossAt(5, listener)]
  listener.onEntries([again])
  t.strictSame(s.told.slice(-2), ['rebase 5', 'skip'], 'it was found after the first was read: it is another')
  t.match(s.linesAt(40)[1], /another process has found/)
})

t.test('several reports of one loss count once', async (t) => {
  const [s, other] = [new Setup(t), new Setup(t)]
  const listener = await s.join('0')
  const slow = await other.join('0')
  const at = Date.now()
  listener.onEntries([lossAt(1, listener, at), lossAt(2, slow, at)])
  t.strictSame(s.told, ['rebase 0', 'skip', 'rebase 1', 'skip', 'bare 2'])
})

t.test('a loss found in the history on joining is not told to clients', async (t) => {
  const s = new Setup(t)
  const finder = await new Setup(t).join('0')
  await s.join('0', s.entry(1), lossAt(2, finder), s.entry(3))
  t.strictSame(s.told, ['rebase 0', 'event 1', 'rebase 2', 'event 3', 'skip'])
})

t.test('a loss whose report the engine does not return holds for the process that found it', async (t) => {
  const s = new Setup(t)
  const known = s.entry(1)
  const listener = await s.join('0', known)
  listener.onLoss()
  s.told.length = 0
  listener.onGap({ floor: '0', history: [known, s.entry(2)] })
  t.strictSame(s.told, ['rebase 0', 'event 1', 'event 2', 'rebase 2', 'skip'])
  listener.onLoss()
  s.told.length = 0
  listener.onGap({ floor: '0', history: [] })
  t.strictSame(s.told, ['rebase 0', 'rebase 0', 'skip'])
})

t.test('a loss that only this process can know of is told before later events, and on all processes', async (t) => {
  const s = new Setup(t)
  const listener = await s.join('0', s.entry(1))
  const sent = s.shared.publish([{ kind: 'event', body: 'lost' }])
  ;(await s.batch(1)).answer.resolve(['2'])
  const [id] = await sent
  t.match(id, /^2-/)
  s.told.length = 0
  listener.onEntries([s.entry(3)])
  t.strictSame(s.told, ['rebase 1', 'skip', 'event 3'])
  t.match(s.linesAt(40), [/has lost events of this process/])
  const { batch, answer } = await s.batch(2)
  const [report] = batch
  t.equal(report!.message.kind, 'loss')
  answer.resolve(['4'])
  const other = new Setup(t)
  const elsewhere = await other.join('0')
  const entry = { ...report!, cursor: '4', at: Date.now() }
  listener.onEntries([entry])
  elsewhere.onEntries([entry])
  t.equal(s.told.at(-1), 'bare 4', 'its own clients know')
  t.strictSame(other.told.slice(-2), ['rebase 4', 'skip'])
  listener.onEntries([s.entry(5)])
  t.equal(s.told.at(-1), 'event 5')
})

t.test('a duplicate entry from a second attempt still has a cursor', async (t) => {
  const s = new Setup(t)
  const first = s.entry(1)
  const listener = await s.join('0', first)
  listener.onEntries([{ ...first, cursor: '2' }])
  t.strictSame(s.told.slice(-2), ['skip', 'bare 2'])
})

t.test('each change of the connection is logged once', async (t) => {
  const s = new Setup(t)
  const listener = await s.join()
  listener.onState(true)
  t.strictSame(s.log.lines, [])
  listener.onState(false, new Error('broken pipe'))
  listener.onState(false, new Error('still broken'))
  t.notOk(s.shared.stats.connected)
  listener.onState(true)
  listener.onState(false)
  t.strictSame(
    s.log.lines.map(({ level, msg }) => [level, msg]),
    [
      [50, 'SSE: the backplane fake is out of reach; events wait for it'],
      [40, 'SSE: the backplane fake is reached again'],
      [50, 'SSE: the backplane fake is out of reach; events wait for it']
    ]
  )
})

t.test('lost broadcasts are counted, and logged once while the engine is out of reach', async (t) => {
  const s = new Setup(t)
  const listener = await s.join()
  listener.onState(false)
  const tooMuch = 'x'.repeat(16 * 1024 * 1024)
  for (let i = 0; i < 3; i++) s.shared.broadcast({ kind: 'event', body: tooMuch })
  await turn()
  t.equal(s.shared.stats.lost, 3)
  t.equal(s.log.matching(/an event is lost/).length, 1)
  listener.onState(true)
  s.shared.broadcast({ kind: 'event', body: tooMuch })
  await turn()
  t.equal(s.log.matching(/an event is lost/).length, 2, 'with the engine at hand each has a cause of its own')
  await t.rejects(s.shared.publish([{ kind: 'event', body: tooMuch }]), { code: 'PYLON_SSE_ERR_BACKPLANE_FULL' })
  t.equal(s.shared.stats.lost, 4, 'a publisher is told, and counts itself')
})

t.test('entries not of the format are counted, logged once, and skipped one by one', async (t) => {
  const s = new Setup(t)
  const strange = (cursor: number, fields: object, messageId = 'other:900'): BackplaneEntry => {
    const message = { kind: 'event' as const, body: 'data: x\n\n', ...fields }
    return { cursor: String(cursor), messageId, at: Date.now(), message }
  }
  const listener = await s.join('0', s.entry(1), strange(2, { body: 'no frame' }), s.entry(3))
  t.equal(s.shared.stats.foreign, 1)
  listener.onEntries([
    strange(4, { kind: 'later' }),
    s.entry(5),
    strange(6, { id: '7' }),
    { ...s.entry(7), message: null as never },
    strange(8, {}, 'no number'),
    s.entry(9)
  ])
  listener.onForeign('10', 'it is something else')
  listener.onGap({ floor: '10', history: [strange(11, { topic: 7 }), s.entry(12)] })
  t.strictSame(
    s.told.filter((told) => told.startsWith('event')),
    ['event 1', 'event 3', 'event 5', 'event 9', 'event 12']
  )
  t.equal(s.shared.stats.foreign, 7)
  const lines = s.log.matching(/does not know/)
  t.equal(lines.length, 1)
  t.match(lines[0], { level: 40, cursor: '2', reason: 'its body is not one whole event' })
  listener.onEntries([strange(13, {}, 'other:900')])
  t.equal(s.told.at(-1), 'x', 'a number is not taken by what was passed over')
})

t.test('a client ahead of this process waits until the process has caught up', async (t) => {
  const timers = new LibTimers(t)
  const s = new Setup(t)
  t.equal(s.shared.catchUp('5'), undefined, 'nothing is known before it has joined')
  const listener = await s.join('3')
  for (const cursor of ['2', '3', 'own']) t.equal(s.shared.catchUp(cursor), undefined, cursor)
  const [five, six] = [s.shared.catchUp('5')!, s.shared.catchUp('6')!]
  listener.onEntries([s.entry(4)])
  t.notOk(await isSettled(five))
  listener.onEntries([s.entry(5)])
  t.ok(await isSettled(five))
  t.notOk(await isSettled(six))
  listener.onGap({ floor: '9', history: [] })
  t.ok(await isSettled(six), 'or is known to be lost')
  t.strictSame(timers.pending, [])
})

t.test('a client that waits for an entry that never comes waits for 2 s at most', async (t) => {
  const s = new Setup(t)
  await s.join('3')
  const from = performance.now()
  await withTimeout(s.shared.catchUp('5')!, 'the waiting to end')
  t.ok(performance.now() - from > 1900)
})

t.test('closing ends the waiting of clients that are ahead', async (t) => {
  const timers = new LibTimers(t)
  const s = new Setup(t)
  await s.join('3')
  const waiting = s.shared.catchUp('5')!
  const sent = s.shared.publish([{ kind: 'event', body: 'last' }])
  const { answer } = await s.batch()
  const closed = s.close()
  t.ok(await isSettled(waiting), 'although messages are on their way')
  t.equal(s.closes, 0)
  answer.resolve(['4'])
  t.match(await sent, [/^4-/])
  await closed
  t.equal(s.closes, 1)
  t.equal(s.shared.catchUp('5'), undefined)
  t.notOk(s.shared.stats.connected)
  t.strictSame(timers.pending, [])
})

t.test('an engine out of reach does not delay closing', async (t) => {
  const s = new Setup(t)
  const listener = await s.join()
  listener.onState(false)
  const sent = s.shared.publish([{ kind: 'event', body: 'lost' }])
  await s.batch()
  const lost = t.rejects(sent, { code: 'PYLON_SSE_ERR_CLOSED' })
  await withTimeout(s.close(), 'the closing', 500)
  await lost
})
