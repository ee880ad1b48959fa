// Calls of zlib, which tests count, and can hold back.

import { syncBuiltinESMExports } from 'node:module'
import zlib from 'node:zlib'
import type { Test } from 'tap'

type Callback = (error: Error | null, piece: Buffer) => void
type DeflateRaw = (bytes: Buffer, options: object, callback: Callback) => void
type DeflateRawSync = (bytes: Buffer, options: object) => Buffer

/** What is compressed from now on to the end of the test; what is off the event loop may be held back. */
export class Deflates {
  /** The inputs, in order. */
  readonly sync: Buffer[] = []
  readonly later: Buffer[] = []
  /** In place of what would come of it off the event loop. */
  error: Error | null = null
  #held: (() => void)[] | undefined
  #reached: (() => void) | undefined

  constructor(t: Test) {
    const { deflateRaw, deflateRawSync } = zlib as unknown as { deflateRaw: DeflateRaw; deflateRawSync: DeflateRawSync }
    this.#replace({
      deflateRawSync: (bytes, options) => {
        this.sync.push(bytes)
        return deflateRawSync(bytes, options)
      },
      deflateRaw: (bytes, options, callback) => {
        this.later.push(bytes)
        deflateRaw(bytes, options, (error, piece) => {
          const done = () => callback(this.error ?? error, piece)
          if (this.#held === undefined) done()
          else this.#held.push(done)
          this.#reached?.()
        })
      }
    })
    t.teardown(() => this.#replace({ deflateRaw, deflateRawSync }))
  }

  /** From now on; resolves once there is something to hold. */
  hold(): Promise<void> {
    this.#held = []
    return new Promise((resolve) => {
      this.#reached = resolve
    })
  }

  release(): void {
    const held = this.#held
    this.#held = undefined
    for (const done of held ?? []) done()
  }

  #replace(functions: { deflateRaw: DeflateRaw; deflateRawSync: DeflateRawSync }): void {
    Object.assign(zlib, functions)
    syncBuiltinESMExports()
  }
}
