// Signals to processes that a test has started.

import { readdirSync, readFileSync } from 'node:fs'

/** The states of a thread that is stopped or has ended, in /proc (proc(5)). */
const STOPPED = /^[TtZX]$/

/** Returns once no thread of the processes runs: after the signal, one on another core may go on for a moment and answer. */
export function freeze(pids: readonly number[]): void {
  signalAll(pids, 'SIGSTOP')
  const deadline = performance.now() + 10_000
  while (!pids.every(isStopped)) {
    if (performance.now() > deadline) throw new Error(`Processes ${pids} have not stopped within ten seconds`)
  }
}

/** Passes over processes that have ended. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

/** Whether none of its threads runs. True without /proc, which only Linux has. */
function isStopped(pid: number): boolean {
  return orIfGone(() => readdirSync(`/proc/${pid}/task`), []).every((id) => {
    const stat = orIfGone(() => readFileSync(`/proc/${pid}/task/${id}/stat`, 'utf8'), 'X')
    // The name of the program comes before the state, in brackets, and may hold anything.
    return STOPPED.test(
      stat
        .slice(stat.lastIndexOf(')') + 1)
        .trim()
        .split(' ')[0]!
    )
  })
}

function orIfGone<Value>(read: () => Value, otherwise: Value): Value {
  try {
    return read()
  } catch {
    return otherwise
  }
}
