import t from 'tap'
import type { EventLog } from '../../lib/log/event-log.js'
import { append, EPOCH, logWith } from '../kit/sized-log.js'

t.test('a client resumes from any event within reach, and is told how many it missed otherwise', async (t) => {
  const positions = (log: EventLog) =>
    Array.from({ length: log.head + 1 }, (_, seq) => {
      const position = log.positionOf(`${EPOCH}-${seq}`)
      return 'seq' in position ? position.seq : `missed ${position.missed}`
    })
  const evicted = logWith({ events: 2 })
  for (let i = 0; i < 4; i++) append(evicted)
  t.strictSame(positions(evicted), ['missed 4', 'missed 3', 2, 3, 4], 'the one before the oldest held is within reach')
  const beyondReplay = logWith({ replay: 1 })
  for (let i = 0; i < 4; i++) append(beyondReplay)
  t.strictSame(positions(beyondReplay), ['missed 4', 'missed 3', 'missed 2', 3, 4], 'held for slow clients alone')
})

t.test('an id that this log has not assigned is unknown', async (t) => {
  const log = logWith()
  for (let i = 0; i < 12; i++) append(log)
  const ids = [
    '',
    '1',
    '-1',
    'k3x9',
    'k3x9-',
    'k3x9-13',
    'k3x9-9999999999999999',
    'k3x9-99999999999999999',
    'k3x9-01',
    'k3x9-00',
    'k3x9--1',
    'k3x9-+1',
    'k3x9-1e0',
    'k3x9-1.0',
    'k3x9-0x1',
    'k3x9-1 2',
    'k3x9- 1',
    'k3x9-1-1',
    'k3x9-\u0661',
    'K3X9-1',
    'k3x-1',
    'k3x99-1',
    'other-1',
    'own'
  ]
  for (const id of ids) t.strictSame(log.positionOf(id), { lost: 'unknown', missed: null }, JSON.stringify(id))
})

t.test('an event with an id of the app is found by it, and by its number', async (t) => {
  const log = logWith({ replay: 2, events: 3 })
  append(log, { id: 'own' })
  append(log)
  t.strictSame(log.positionOf('own'), { seq: 1 })
  t.strictSame(log.positionOf(`${EPOCH}-1`), { seq: 1 })
  append(log)
  append(log)
  t.strictSame(log.positionOf('own'), { lost: 'unknown', missed: null }, 'not once the log has let it go')
  t.strictSame(log.positionOf(`${EPOCH}-1`), { lost: 'expired', missed: 3 })
})

t.test('an id of the app beyond what may be replayed has expired, though its event is held', async (t) => {
  const log = logWith({ replay: 1 })
  append(log, { id: 'own' })
  append(log)
  t.strictSame(log.positionOf('own'), { seq: 1 })
  append(log)
  t.strictSame(log.positionOf('own'), { lost: 'expired', missed: 2 })
})

t.test('an id is free when no event held has it and the log does not give it itself', async (t) => {
  const log = logWith({ events: 2 })
  append(log, { id: 'own' })
  append(log)
  const ids: [id: string, why: { held: boolean; reserved: boolean }][] = [
    ['own', { held: true, reserved: false }],
    [' own\u00a0', { held: true, reserved: false }],
    ['Own', { held: false, reserved: false }],
    ['k3x9-1', { held: false, reserved: true }],
    ['k3x9-2', { held: false, reserved: true }],
    ['k3x9-99', { held: false, reserved: true }],
    [' k3x9-x', { held: false, reserved: true }],
    ['k3x9', { held: false, reserved: false }],
    ['x-k3x9-1', { held: false, reserved: false }]
  ]
  for (const [id, why] of ids) {
    t.strictSame({ held: log.has(id), reserved: log.isReserved(id) }, why, JSON.stringify(id))
  }
})

t.test('an id of the app is free again once its event is evicted, and then means the new event', async (t) => {
  const log = logWith({ events: 2 })
  append(log, { id: 'own' })
  append(log)
  t.ok(log.has('own'))
  append(log)
  t.notOk(log.has('own'))
  append(log, { id: 'own' })
  t.strictSame(log.positionOf('own'), { seq: 4 })
})

t.test('white space around an id is ignored, since headers lose it', async (t) => {
  const log = logWith()
  append(log, { id: ' own ' })
  for (const id of ['own', ' own ', '\town']) t.strictSame(log.positionOf(id), { seq: 1 }, JSON.stringify(id))
  t.strictSame(log.positionOf(` ${EPOCH}-1 `), { seq: 1 })
  t.equal(log.at(1).frame.toString(), 'id:  own \nx', 'the id itself is sent as it was given')
})
