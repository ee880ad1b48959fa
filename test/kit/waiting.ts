import type { Test } from 'tap'
import { LongPolls } from '../../lib/clients/long-polls.js'
import { gate } from './deferred.js'

/** Resolves when so many requests wait. */
export function waiting(t: Test, n: number): Promise<void> {
  const reached = gate()
  const { wait } = LongPolls.prototype
  let calls = 0
  const restore = () => {
    LongPolls.prototype.wait = wait
  }
  LongPolls.prototype.wait = function <Found>(this: LongPolls, ...args: Parameters<typeof wait<Found>>) {
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
