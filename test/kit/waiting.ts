// Waits until requests wait, for an event or for a run of another process, and until clients have been looked after.

import type { Test } from 'tap'
import { Connection } from '../../lib/hub/clients/connection.js'
import { LongPolls } from '../../lib/hub/clients/long-polls.js'
import { AwaitedRuns } from '../../lib/hub/runs/awaited-runs.js'
import { gate } from './deferred.js'

/** Resolves when so many requests wait for an event. */
export function waiting(t: Test, n: number): Promise<void> {
  return called(t, LongPolls.prototype, 'wait', n)
}

/** Resolves when so many requests wait for a run to be heard of. */
export function waitingForRun(t: Test, n: number): Promise<void> {
  return called(t, AwaitedRuns.prototype, 'until', n)
}

/** Resolves when so many of the regular visits to clients have been made, over all apps. */
export function visiting(t: Test, n: number): Promise<void> {
  return called(t, Connection.prototype, 'tend', n)
}

/** Resolves when a method has been called so many times, and does what it did. */
function called<Name extends string>(
  t: Test,
  target: Record<Name, (...args: never[]) => unknown>,
  name: Name,
  n: number
): Promise<void> {
  const reached = gate()
  const method = target[name]
  let calls = 0
  const restore = () => {
    target[name] = method
  }
  target[name] = function (this: unknown, ...args: never[]) {
    const result = method.apply(this, args)
    if (++calls === n) {
      restore()
      void reached.pass()
    }
    return result
  }
  t.teardown(restore)
  return reached.reached
}
