// The contract suite's harness for the backplane in memory.

import type { Backplane, BackplaneListener, Joined } from '../../lib/backplane/backplane.js'
import type { BackplaneHarness } from '../../lib/backplane/contract/contract.js'
import { MemoryEngine, memoryBackplane } from '../../lib/backplane/memory.js'
import { decodeMessage } from '../../lib/backplane/message-codec.js'
import { foreignEntries } from './foreign-entries.js'

/** What is wrong with a backplane: its methods, in terms of those of one that is right. */
export type Fault = (right: Backplane, engine: MemoryEngine) => Partial<Backplane>

/** The log in memory, with an engine that can be out of reach, and deleted. */
export class MemoryHarness implements BackplaneHarness {
  #engine = new MemoryEngine()
  #kept: MemoryEngine | undefined
  #isDown = false
  readonly #fault: Fault
  readonly #joined = new Map<Backplane, { listener: BackplaneListener; again: () => Promise<Joined> }>()

  constructor(fault: Fault = () => ({})) {
    this.#fault = fault
  }

  async begin(): Promise<void> {
    this.#engine = new MemoryEngine()
    this.#isDown = false
    this.#joined.clear()
  }

  connect(): Backplane {
    let inner = memoryBackplane(this.#engine)
    const check = () => {
      if (this.#isDown) throw new Error('the backplane memory is out of reach')
    }
    const right: Backplane = {
      name: inner.name,
      limits: inner.limits,
      join: async (bounds, listener) => {
        check()
        const again = async () => {
          await inner.close()
          inner = memoryBackplane(this.#engine)
          return inner.join(bounds, listener)
        }
        this.#joined.set(right, { listener, again })
        return inner.join(bounds, listener)
      },
      publish: async (batch) => {
        check()
        return inner.publish(batch)
      },
      compare: (a, b) => inner.compare(a, b),
      close: async () => {
        this.#joined.delete(right)
        return inner.close()
      }
    }
    return { ...right, ...this.#fault(right, this.#engine) }
  }

  async interrupt(): Promise<void> {
    this.#isDown = true
    for (const { listener } of this.#joined.values()) listener.onState(false)
  }

  async resume(): Promise<void> {
    this.#isDown = false
    for (const { listener } of this.#joined.values()) listener.onState(true)
  }

  async intrude(): Promise<void> {
    for (const { messageId, labels, body } of foreignEntries()) {
      const message = decodeMessage({ labels, body }) ?? { kind: 'event', body: '' }
      this.#engine.append([{ messageId, message }])
    }
  }

  async replace(): Promise<void> {
    this.#engine = new MemoryEngine()
    for (const { listener, again } of this.#joined.values()) listener.onGap(await again())
  }

  async keep(): Promise<void> {
    this.#kept = new MemoryEngine(this.#engine)
  }

  async restore(): Promise<void> {
    this.#engine = new MemoryEngine(this.#kept)
    for (const { listener, again } of this.#joined.values()) {
      this.#engine.append([listener.onLoss()])
      listener.onGap(await again())
    }
  }
}
