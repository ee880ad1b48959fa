import type { Test } from 'tap'
import { Waiters } from '../../lib/clients/long-polls.js'
import { gate } from './deferred.js'

/** Resolves when so many requests wait. */
export function waiting(t: Test, n: number): Promise<void> {
  const reached = gate()
  const { wait } = Waiters.prototype
  let calls = 0
  const restore = () => {
    Waiters.prototype.wait = wait
  }
  Waiters.prototype.wait = function <Found>(this: Waiters, ...args: Parameters<typeof wait<Found>>) {
    const waited = wait.apply(this, args) as Promise<Found>
    if (++calls === n) {
      restore()
      void reached.pass()
    }
    return waited
  }
  t.teardown(restore)
  return reached.reached
}
