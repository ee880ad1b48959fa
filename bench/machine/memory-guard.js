// A limit for the memory of a measurement.

import { residentBytes } from './machine.js'

const INTERVAL = 100

/** Watches the resident memory of processes, and calls back once it exceeds a limit. */
export class MemoryGuard {
  /** Peak of their total since `reset`, bytes. */
  peak = 0
  #pids
  #timer

  constructor(pids, limit, onExceed) {
    this.#pids = pids
    this.#timer = setInterval(() => {
      const bytes = this.read()
      if (bytes <= limit) return
      this.stop()
      onExceed(bytes)
    }, INTERVAL)
  }

  read() {
    let bytes = 0
    for (const pid of this.#pids) bytes += residentBytes(pid)
    this.peak = Math.max(this.peak, bytes)
    return bytes
  }

  reset() {
    this.peak = 0
    return this.read()
  }

  stop() {
    clearInterval(this.#timer)
  }
}
