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
