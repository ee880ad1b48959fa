import fc from 'fast-check'
import t from 'tap'
import type { Parcel } from '../../lib/backplane/backplane.js'
import { compareEngineIds, engineId, isUnproven } from '../../lib/log/engine-id.js'

function parcel(messageId: string, attempt?: number): Parcel {
  return { messageId, message: { kind: 'event', body: 'data: x\n\n', attempt } }
}

const numbers = {
  compare: (a: string, b: string) => (/^\d+$/.test(a + b) ? Number(a) - Number(b) : undefined)
}

t.test('the id of an event in the log of an engine holds its cursor and names its entry', async (t) => {
  const name = engineId('7-1', parcel('a:1'))
  t.match(name, /^7-1-[0-9a-z]{7}$/)
  t.equal(engineId('7-1', parcel('a:1', 1)), name)
  t.equal(new Set([name, engineId('7-1', parcel('a:2')), engineId('7-1', parcel('a:1', 2))]).size, 3)
  t.notOk(isUnproven(name))
  t.ok(isUnproven(engineId('7-1')))
})

t.test('messages of one publisher, and attempts, are told from each other', async (t) => {
  const publisher = 'b9ff2f0e-4a4c-4f0e-9d0c-1c9f6fd2a0a4'
  const names = new Set<string>()
  for (let n = 1; n <= 20_000; n++)
    for (const attempt of [1, 2]) names.add(engineId('', parcel(`${publisher}:${n}`, attempt)))
  // Of 40,000 random numbers of 32 bits less than one in ten such lots has two pairs that are equal.
  t.ok(names.size > 39_995, `${names.size} of 40,000`)
})

t.test('no name of an entry is that of an unknown one', async () => {
  fc.assert(fc.property(fc.string(), fc.nat(), (id, attempt) => !isUnproven(engineId('1', parcel(id, attempt)))))
})

t.test('names compare as their cursors do', async (t) => {
  t.ok(compareEngineIds('7-aaaaaaa', '8-0000000', numbers)! < 0)
  t.equal(compareEngineIds('7-aaaaaaa', '7-bbbbbbb', numbers), 0)
  for (const other of ['7', '7-', '7-AAAAAAA', '7-aaaaaa', '-aaaaaaa', '7-aaaaaaaa', 'x-aaaaaaa', ''])
    t.equal(compareEngineIds(other, '7-aaaaaaa', numbers), undefined, other)
  t.equal(compareEngineIds('7-aaaaaaa', '7', numbers), undefined)
})
