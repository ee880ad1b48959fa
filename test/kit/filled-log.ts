// A log with events of given sizes.

import assert from 'node:assert/strict'
import { EventLog } from '../../lib/log/event-log.js'
import type { LogEntry } from '../../lib/log/log-entry.js'

const FILLER = 'x'.repeat(6 * 1024 * 1024)

/** A log of events of these sizes, with all that it was ever given: the event of `seq` n at n - 1. */
export class FilledLog extends EventLog {
  readonly all: LogEntry[] = []

  constructor(sizes: number[] = [], events = 1_000_000) {
    super({ epoch: 'e', replay: events, events, bytes: Number.MAX_SAFE_INTEGER })
    for (const size of sizes) this.add(size)
  }

  add(size: number, topic?: string, except?: string): LogEntry {
    const idLine = `id: ${this.cursorAt(this.head + 1)}\n`.length
    const mark = topic === undefined ? 0 : Buffer.byteLength(`: topic ${topic}\n`)
    const entry = this.append(FILLER.slice(0, size - idLine), { topic, except })
    assert.equal(entry.frame.length, size + mark)
    this.all.push(entry)
    return entry
  }
}
