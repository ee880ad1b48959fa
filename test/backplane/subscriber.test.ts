import t from 'tap'
import type { BackplaneEntry, BackplaneEvent, BackplaneMessage } from '../../lib/backplane/backplane.js'
import { IdempotencyKeys } from '../../lib/backplane/idempotency.js'
import { Subscriber } from '../../lib/backplane/subscriber.js'

/** The log and the clients of a process, as far as an subscriber knows them. */
class Setup {
  readonly log: { id: string; body: string }[] = []
  readonly disconnected: string[] = []
  /** Places that are known, and hold no event of their own. */
  readonly bare: string[] = []
  readonly losses: [cursor: string, isHistory: boolean][] = []
  readonly settled: [messageId: string, outcome: string | Error][] = []
  readonly answers = new IdempotencyKeys(1000)
  readonly subscriber = new Subscriber({
    answers: this.answers,
    has: (id) => this.log.some((entry) => entry.id === id),
    append: ({ id, body }, logId) => {
      const [cursor] = logId.split('-') as [string]
      this.log.push({ id: id ?? cursor, body })
      return id ?? cursor
    },
    hearRun: () => {},
    addBareId: (id) => this.bare.push(id.split('-')[0]!),
    order: ({ body }) => this.disconnected.push(body),
    lose: (entry, isHistory) => this.losses.push([entry.cursor, isHistory]),
    settle: (messageId, outcome) => this.settled.push([messageId, outcome])
  })
  #count = 0

  entry(messageId: string, message: BackplaneMessage): BackplaneEntry {
    return { cursor: `c${++this.#count}`, messageId, at: 0, message }
  }

  event(messageId: string, labels: Partial<BackplaneEvent> = {}): BackplaneEntry {
    return this.entry(messageId, { kind: 'event', body: messageId, ...labels })
  }

  receive(messageId: string, labels: Partial<BackplaneEvent> = {}): void {
    this.subscriber.receive(this.event(messageId, labels), false)
  }

  get bodies(): string[] {
    return this.log.map(({ body }) => body)
  }
}

function request(index: number, digest = 'd') {
  return { key: 'k', digest, index, count: 2 }
}

t.test('a message published twice enters the log once, at its first place', async (t) => {
  const s = new Setup()
  for (const id of ['a:1', 'b:1', 'a:2', 'a:1', 'a:2', 'b:1', 'a:3']) s.receive(id)
  t.strictSame(s.bodies, ['a:1', 'b:1', 'a:2', 'a:3'])
  t.strictSame(
    s.settled,
    [
      ['a:1', 'c1'],
      ['b:1', 'c2'],
      ['a:2', 'c3'],
      ['a:3', 'c7']
    ],
    'and its publisher told of that place'
  )
})

t.test('a publisher may skip numbers, and have any name', async (t) => {
  const s = new Setup()
  for (const id of ['a:b:2', 'a:b:5', 'a:3', 'a:b:3']) s.receive(id)
  t.strictSame(s.bodies, ['a:b:2', 'a:b:5', 'a:3'])
})

t.test('if two processes choose the same id, the first in the log gets it', async (t) => {
  const s = new Setup()
  s.receive('a:1', { id: 'own' })
  s.receive('b:1', { id: 'own' })
  t.strictSame(s.log, [{ id: 'own', body: 'a:1' }])
  t.strictSame(s.settled[0], ['a:1', 'own'])
  t.match(s.settled[1], ['b:1', { code: 'PYLON_SSE_ERR_DUPLICATE_ID' }])
})

t.test('a repeated request gets the same answer, on whichever process', async (t) => {
  const s = new Setup()
  s.receive('a:1', { request: request(0) })
  s.receive('b:1', { request: request(0) })
  s.receive('a:2', { request: request(1) })
  s.receive('b:2', { request: request(1) })
  s.receive('b:3', { request: request(0, 'of other events') })
  t.strictSame(s.bodies, ['a:1', 'a:2'])
  t.strictSame(s.settled.slice(0, 4), [
    ['a:1', 'c1'],
    ['b:1', 'c1'],
    ['a:2', 'c3'],
    ['b:2', 'c3']
  ])
  t.match(s.settled[4], ['b:3', { code: 'PYLON_SSE_ERR_IDEMPOTENCY_KEY_REUSED' }])
})

t.test('a request whose event is refused is not remembered', async (t) => {
  const s = new Setup()
  s.receive('a:1', { id: 'own' })
  s.receive('a:2', { id: 'own', request: request(0) })
  t.match(s.settled[1], ['a:2', { code: 'PYLON_SSE_ERR_DUPLICATE_ID' }])
  t.equal(s.answers.size, 0)
})

t.test('disconnect commands in the log are carried out, except those from before the process joined', async (t) => {
  const s = new Setup()
  s.subscriber.receive(s.entry('a:1', { kind: 'disconnect', body: 'old' }), true)
  s.subscriber.receive(s.entry('a:2', { kind: 'disconnect', body: 'new' }), false)
  s.subscriber.receive(s.entry('a:2', { kind: 'disconnect', body: 'new' }), false)
  t.strictSame(s.disconnected, ['new'])
  t.strictSame(s.settled, [
    ['a:1', 'c1'],
    ['a:2', 'c2']
  ])
})

t.test('after a gap the remaining entries enter the log again, and missed commands are carried out', async (t) => {
  const s = new Setup()
  s.receive('a:1', { request: request(0) })
  s.receive('a:2')
  s.subscriber.receive(s.entry('b:1', { kind: 'disconnect', body: 'done' }), false)
  s.log.length = s.settled.length = s.disconnected.length = 0
  const history = [
    s.event('a:2', { id: 'own' }),
    s.entry('b:1', { kind: 'disconnect', body: 'done' }),
    s.event('b:3', { request: request(0, 'the key is free again') }),
    s.entry('b:4', { kind: 'disconnect', body: 'missed' }),
    s.event('a:3', { id: 'own' })
  ]
  let seenBefore: string[] | undefined
  s.subscriber.restart(history, () => {
    seenBefore = s.bodies
  })
  t.strictSame(seenBefore, ['a:2'], 'clients go on after what they have had')
  t.strictSame(s.bodies, ['a:2', 'b:3'])
  t.strictSame(s.disconnected, ['missed'])
  t.match(s.settled.at(-1), ['a:3', { code: 'PYLON_SSE_ERR_DUPLICATE_ID' }])
  s.receive('a:3')
  t.strictSame(s.bodies, ['a:2', 'b:3'], 'it knows again what it has read')
})

t.test('after a gap with nothing left, clients continue from there', async (t) => {
  const s = new Setup()
  let skipped = 0
  s.subscriber.restart([], () => skipped++)
  t.equal(skipped, 1)
  s.receive('a:1')
  t.strictSame(s.bodies, ['a:1'])
})

t.test('10,000 publishers are remembered, and those silent for longest are forgotten first', async (t) => {
  const s = new Setup()
  s.receive('quiet:1')
  s.receive('loud:1')
  for (let i = 0; i < 5000; i++) s.receive(`x${i}:1`)
  s.receive('loud:2')
  for (let i = 5000; i < 9999; i++) s.receive(`x${i}:1`)
  const before = s.log.length
  s.receive('loud:1')
  t.equal(s.log.length, before)
  s.receive('quiet:1')
  t.equal(s.log.length, before + 1, 'forgotten')
})
