// A log with a reader and audiences.

import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Audience, Audiences } from '../../lib/log/audience.js'
import type { EventChunk } from '../../lib/log/chunk.js'
import { LogReader } from '../../lib/log/log-reader.js'
import { FilledLog } from './filled-log.js'
import { anyTopic, hears, PATTERNS } from './topic-model.js'

export const KIB = 1024
export const BLOCK = 64 * KIB

/** A reader, its log, and its audiences, which hear what is added. Each has `cohorts` groups of clients. */
export class ReadLog {
  readonly log: FilledLog
  readonly audiences = new Audiences()
  readonly everyone: Audience = this.audiences.everyone
  readonly reader: LogReader
  readonly #cohorts: number

  constructor(sizes: number[] = [], { events = 1_000_000, cohorts = 2 } = {}) {
    this.log = new FilledLog(sizes, events)
    this.reader = new LogReader(this.log, this.everyone)
    this.#cohorts = cohorts
  }

  hold(...patterns: string[]): Audience {
    const audience = this.audiences.hold(patterns)
    while (audience.cohortCount < this.#cohorts) audience.join({ isTouched: false, touch: () => {} })
    return audience
  }

  add(size: number, topic?: string): void {
    const entry = this.log.add(size, topic)
    if (topic !== undefined) for (const audience of this.audiences.of(topic)) audience.hear(entry)
  }

  history(audience: Audience, cursor: number, limit = this.log.head): EventChunk[] {
    const chunks: EventChunk[] = []
    for (;;) {
      const chunk = this.reader.history(audience, cursor, limit)
      if (chunk === undefined) return chunks
      assert.ok(chunk.to > cursor && chunk.to <= limit, `after ${cursor} up to ${limit} came ${chunk.to}`)
      this.check(chunk, audience, cursor)
      chunks.push(chunk)
      cursor = chunk.to
    }
  }

  /** What a chunk must be, whoever asks for it: all that the audience hears of the log between its ends. */
  check(chunk: EventChunk, audience: Audience, cursor: number): void {
    const entries = this.heard(audience, cursor, chunk.to)
    assert.ok(entries.length > 0)
    assert.deepEqual(
      chunk.entries.map(({ seq }) => seq),
      entries.map(({ seq }) => seq),
      `for ${audience.patterns} after ${cursor} up to ${chunk.to}`
    )
    assert.ok(chunk.plain.equals(Buffer.concat(entries.map(({ frame }) => frame))))
    const largest = Math.max(...entries.map(({ frame }) => frame.length))
    assert.ok(chunk.size - largest < BLOCK * 1.25, `${chunk.size} bytes, ${largest} of them one event`)
  }

  heard({ patterns }: Audience, cursor: number, to: number) {
    return this.log.all.slice(cursor, to).filter(({ topic }) => hears(patterns, topic))
  }
}

export function repeat(times: number, size: number): number[] {
  return new Array(times).fill(size)
}

export const small = fc.integer({ min: 12, max: 200 })
const aroundBlock = fc.integer({ min: BLOCK - 40, max: BLOCK + 40 })
export const size = fc.oneof(
  { weight: 4, arbitrary: small },
  { weight: 2, arbitrary: fc.integer({ min: 12, max: BLOCK / 2 }) },
  { weight: 1, arbitrary: aroundBlock },
  { weight: 1, arbitrary: fc.integer({ min: BLOCK, max: 3 * BLOCK }) }
)
export const event = fc.record({ size, topic: anyTopic })
export const patterns = fc.uniqueArray(fc.constantFrom(...PATTERNS), { maxLength: 3 })
