import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { EventChunk, OwnChunk } from '../../lib/log/chunk.js'
import { EventLog } from '../../lib/log/event-log.js'
import type { LogEntry } from '../../lib/log/log-entry.js'
import { Http1Parser } from '../kit/http1-parser.js'
import { frameOf } from '../kit/sent-events.js'

/** Events, each with the client it leaves out. */
function entriesWith(...excepts: (string | undefined)[]): LogEntry[] {
  const log = new EventLog({ epoch: 'e', replay: 1000, events: 1000, bytes: 1_000_000 })
  return excepts.map((except, i) => log.append(`data: ${i}\n\n`, { except }))
}

function bytesOf(entries: readonly LogEntry[]): string {
  return entries.map(({ frame }) => frame.toString()).join('')
}

t.test('bytes framed are one chunk of chunked coding that holds them and nothing else', async () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1 }), (parts) => {
      const bytes = Buffer.concat(parts)
      const chunk = new OwnChunk(parts.map((part) => Buffer.from(part)))
      assert.ok(chunk.plain.equals(bytes))
      assert.equal(chunk.size, bytes.length)

      const bodies: Buffer[] = []
      let finished = false
      const parser = new Http1Parser()
      parser.expect({
        method: 'GET',
        httpVersion: '1.1',
        receiveHead: () => {},
        receive: (body) => bodies.push(body),
        finish: () => {
          finished = true
        }
      })
      parser.push(Buffer.from('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'))
      parser.push(chunk.framed)
      assert.ok(Buffer.concat(bodies).equals(bytes))
      assert.equal(finished, false)
      parser.push(Buffer.from('0\r\n\r\n'))
      assert.equal(finished, true)
    }),
    { numRuns: 200 }
  )
})

t.test('a chunk that waits in a full socket keeps no memory but its own', async (t) => {
  for (const size of [1, 100, 5000]) {
    const { framed } = new OwnChunk([Buffer.alloc(size)])
    t.equal(framed.buffer.byteLength, framed.length, `${size} bytes`)
  }
  for (const text of ['', 'x', 'é😀'.repeat(100), 'x'.repeat(5000)]) {
    for (const id of [undefined, '~']) {
      const { framed, plain } = new OwnChunk(frameOf({ text, id }).toString())
      t.ok(plain.equals(frameOf({ text, id })))
      t.equal(framed.buffer.byteLength, framed.length, `${plain.length} bytes`)
    }
  }
})

t.test('a chunk of events holds their bytes in order, and tells how far it goes', async (t) => {
  const entries = entriesWith(undefined, 'a', undefined)
  const chunk = new EventChunk(entries, 7)
  t.equal(chunk.plain.toString(), bytesOf(entries))
  t.equal(chunk.size, bytesOf(entries).length)
  t.strictSame(chunk.entries, entries)
  t.match(chunk, { to: 7, isFull: false })
  t.match(new EventChunk(entriesWith(undefined, undefined), 2, true), { to: 2, isFull: true })
})

t.test('events that lie one after another are not copied; others are, framed one by one all the same', async () => {
  const size = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 1, max: 300 }) }, fc.integer({ min: 1, max: 20_000 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(size, fc.boolean()), { minLength: 1, maxLength: 30 }), (events) => {
      const log = new EventLog({ epoch: 'e', replay: 1000, events: 1000, bytes: 10_000_000 })
      const all = events.map(([size]) => log.append('x'.repeat(size)))
      const chosen = all.filter((_, i) => events[i]![1])
      if (chosen.length === 0) return
      const { framed, plain, compact, size: bytes } = new EventChunk(chosen, all.length)
      assert.equal(plain.toString(), bytesOf(chosen))
      assert.equal(bytes, plain.length)
      const expected = chosen.map(({ frame }) => `${frame.length.toString(16)}\r\n${frame}\r\n`).join('')
      assert.equal(framed.toString(), expected)
      assert.ok(compact.equals(framed))
      for (const each of [plain, compact]) {
        assert.ok(each.buffer.byteLength <= 4 * each.length, 'what may be kept long keeps little with it')
      }
      const isRun = chosen.every(({ slab, start }, i) => {
        return slab === chosen[0]!.slab && (i === 0 || start === chosen[i - 1]!.stop)
      })
      assert.equal(framed.buffer === chosen[0]!.slab.buffer, isRun)
    })
  )
})

t.test('a chunk that leaves a client out of none of its events is shared with it', async (t) => {
  const chunk = new EventChunk(entriesWith(undefined, undefined), 2)
  t.equal(chunk.for('a'), chunk)
  const withExcepts = new EventChunk(entriesWith(undefined, 'b'), 2)
  t.equal(withExcepts.for('a'), withExcepts)
})

t.test(
  'a client is left out of the events that name it and of no others, and is as far as the others then',
  async () => {
    const client = fc.constantFrom('a', 'b', 'c')
    fc.assert(
      fc.property(fc.array(fc.option(client, { nil: undefined }), { minLength: 1, maxLength: 10 }), (excepts) => {
        const entries = entriesWith(...excepts)
        const chunk = new EventChunk(entries, entries.length + 3)
        for (const id of ['a', 'b', 'c', 'd']) {
          const heard = entries.filter(({ except }) => except !== id)
          const own = chunk.for(id)
          if (heard.length === 0) {
            assert.equal(own, undefined)
            continue
          }
          assert.ok(own)
          assert.equal(own === chunk, heard.length === entries.length, 'shared where it is the same')
          assert.deepEqual(own.entries, heard)
          assert.equal(own.plain.toString(), bytesOf(heard))
          assert.equal(own.to, chunk.to)
        }
      })
    )
  }
)
