// How busy the machine is, for limits on time spans.

import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/**
 * How many times longer work takes than it would if this process had a processor of its own, from 1: others on the
 * machine may have their share of it. For a limit on a time span, which is a promise about an idle machine.
 */
export function slowdown(): number {
  const start = performance.now()
  const cpuStart = process.cpuUsage()
  let used: number
  do {
    const { user, system } = process.cpuUsage(cpuStart)
    used = (user + system) / 1000
  } while (used < 50)
  return Math.max(1, (performance.now() - start) / used)
}

/** Two seconds of a machine that is idle otherwise. On a busy one, the share that others take of it is measured. */
export async function closesInTime(t: Test, app: FastifyInstance): Promise<void> {
  const before = slowdown()
  const start = performance.now()
  await app.close()
  const took = performance.now() - start
  const limit = 2000 * Math.max(before, slowdown())
  t.ok(took < limit, `closed after ${took.toFixed()} of ${limit.toFixed()} ms`)
}
