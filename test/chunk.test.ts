import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Chunk, EventChunk } from '../lib/chunk.js'
import { EventLog, type LogEntry } from '../lib/event-log.js'
import { Http1Parser } from './kit/http1-parser.js'

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
      const chunk = new Chunk(parts.map((part) => Buffer.from(part)))
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
    const { framed } = new Chunk([Buffer.alloc(size)])
    t.equal(framed.buffer.byteLength, framed.length, `${size} bytes`)
  }
})

t.test('a chunk of events holds their bytes in order, and tells how far it goes', async (t) => {
  const entries = entriesWith(undefined, 'a', undefined)
  const chunk = new EventChunk(entries, 7)
  t.equal(chunk.plain.toString(), bytesOf(entries))
  t.equal(chunk.size, bytesOf(entries).length)
  t.strictSame(chunk.entries, entries)
  t.match(chunk, { to: 7, isFull: false, hasExcepts: true })
  t.match(new EventChunk(entriesWith(undefined, undefined), 2, true), { to: 2, isFull: true, hasExcepts: false })
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
