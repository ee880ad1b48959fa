// Promises that are settled from outside, and a gate that holds code back until the test opens it.

import { deferred } from '../../lib/entries/testing/deferred.js'

export { type Deferred, deferred } from '../../lib/entries/testing/deferred.js'

export interface Gate {
  /** For the code under test (an async hook, say): blocks until the test opens the gate. */
  pass(): Promise<void>
  /** For the test: resolves when somebody has come to the gate, so that it can act while they stand there. */
  reached: Promise<void>
  open(): void
}

export function gate(): Gate {
  const reached = deferred()
  const opened = deferred()
  return {
    pass() {
      reached.resolve()
      return opened.promise
    },
    reached: reached.promise,
    open: () => opened.resolve()
  }
}
