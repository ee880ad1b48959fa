import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { EventOptions } from '../../lib/api/api.js'
import { readEventOptions } from '../../lib/log/encode.js'
import { frameOf } from '../kit/sent-events.js'

t.test('an id of 1,024 characters is taken', async (t) => {
  for (const id of ['x'.repeat(1024), '~ '.repeat(512)]) t.equal(readEventOptions({ id }).id, id)
})

t.test('options are read once, so that later changes have no effect', async (t) => {
  const good = { event: 'good', id: 'good', topic: 'good', except: 'good' }
  const reads: Record<string, number> = {}
  const shifty = {}
  for (const field of Object.keys(good)) {
    const get = () => {
      reads[field] = (reads[field] ?? 0) + 1
      return reads[field] === 1 ? 'good' : 'bad\n\ndata: forged'
    }
    Object.defineProperty(shifty, field, { get, enumerable: true })
  }
  t.strictSame(readEventOptions(shifty), good)
  t.strictSame(reads, { event: 1, id: 1, topic: 1, except: 1 }, 'each is read once')

  const changed: EventOptions = { ...good }
  const read = readEventOptions(changed)
  Object.assign(changed, { event: 'bad\ndata: forged', id: 'bad\n\ndata: forged', topic: '*', except: 'bad' })
  t.strictSame(read, good)
})

t.test('an option that is undefined is as one that is not given', async (t) => {
  const event = { text: 'x', event: undefined, id: undefined }
  t.equal(frameOf(event).toString(), frameOf({ text: 'x' }).toString())
  t.strictSame(readEventOptions({ topic: undefined, except: undefined }), readEventOptions({}))
})

t.test('an except that cannot be a client id, for example from a forged header, is dropped', async (t) => {
  const id = randomUUID()
  t.equal(readEventOptions({ except: id }).except, id)
  t.equal(readEventOptions({ except: `${id}0` }).except, undefined)
  t.equal(readEventOptions({ except: 'x'.repeat(16_000) }).except, undefined)
})
