// A log in memory with the contract of an engine, for tests and as the shortest example of one. It does not leave the process.

import { randomBytes } from 'node:crypto'
import { ClosedError } from '../api/errors.js'
import type { Backplane, BackplaneEntry, BackplaneListener, Joined, Parcel } from './backplane.js'
import { type LimitOptions, resolveLimits } from './limits.js'

const CURSOR = /^([0-9a-f]{8})-(0|[1-9]\d{0,15})$/

/** A log in memory. Several hubs of one process can share it, for example in tests, where each stands for a process. */
export class MemoryEngine {
  readonly epoch: string
  readonly entries: BackplaneEntry[]
  readonly listeners = new Set<BackplaneListener>()

  /** @param kept an engine whose entries are copied, as if restored from a backup */
  constructor(kept?: Pick<MemoryEngine, 'epoch' | 'entries'>) {
    this.epoch = kept?.epoch ?? randomBytes(4).toString('hex')
    this.entries = [...(kept?.entries ?? [])]
  }

  append(batch: readonly Parcel[]): string[] {
    const appended = batch.map(({ messageId, message }, i): BackplaneEntry => {
      return { cursor: `${this.epoch}-${this.entries.length + 1 + i}`, messageId, at: Date.now(), message }
    })
    this.entries.push(...appended)
    // Later, so that a `join` in progress has resolved by then.
    for (const listener of this.listeners) setImmediate(() => listener.onEntries(appended))
    return appended.map(({ cursor }) => cursor)
  }
}

/** A backplane over a log in memory. It reaches only hubs of this process. */
export function memoryBackplane(engine = new MemoryEngine(), options: LimitOptions = {}): Backplane {
  let listener: BackplaneListener | undefined
  let isClosed = false
  return {
    name: 'memory',
    limits: resolveLimits(options),
    async join({ events, bytes }, joining): Promise<Joined> {
      if (isClosed) throw new ClosedError()
      listener = {
        ...joining,
        onEntries: (entries) => {
          if (!isClosed) joining.onEntries(entries)
        }
      }
      engine.listeners.add(listener)
      let from = engine.entries.length
      for (let left = bytes; from > 0 && engine.entries.length - from < events; from--) {
        left -= Buffer.byteLength(engine.entries[from - 1]!.message.body)
        if (left < 0) break
      }
      return { floor: `${engine.epoch}-${from}`, history: engine.entries.slice(from) }
    },
    async publish(batch) {
      if (isClosed) throw new ClosedError()
      return engine.append(batch)
    },
    compare(a, b) {
      const [first, second] = [CURSOR.exec(a), CURSOR.exec(b)]
      if (first?.[1] !== engine.epoch || second?.[1] !== engine.epoch) return undefined
      return Number(first[2]) - Number(second[2])
    },
    async close() {
      isClosed = true
      if (listener) engine.listeners.delete(listener)
    }
  }
}
