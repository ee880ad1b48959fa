// The timers that lib/ sets, so that tests find those that are left.

import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const LIB = fileURLToPath(new URL('../../lib/', import.meta.url))

type Timer = (NodeJS.Timeout | NodeJS.Immediate) & { _destroyed: boolean }
type SetTimer = (...args: never[]) => Timer

/** The timers that lib sets, from now until the end of the test. */
export class LibTimers {
  readonly #all: Timer[] = []

  constructor(t: Test) {
    for (const name of ['setTimeout', 'setInterval', 'setImmediate'] as const) {
      const set = globalThis[name] as unknown as SetTimer
      const watched = (...args: never[]) => {
        const timer = set(...args)
        const [, , caller] = new Error().stack!.split('\n')
        if (caller?.includes(LIB)) this.#all.push(timer)
        return timer
      }
      t.intercept(globalThis, name, { value: Object.assign(watched, set) })
    }
  }

  /** Those that are still to fire. */
  get pending(): (NodeJS.Timeout | NodeJS.Immediate)[] {
    return this.#all.filter((timer) => !timer._destroyed)
  }

  /** How many there ever were. */
  get count(): number {
    return this.#all.length
  }
}
