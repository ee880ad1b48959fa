// The clock of the benchmark. CLOCK_MONOTONIC is the same in all processes of a machine, so times of different processes
// can be compared. performance.now() reads it without making a BigInt.
const base = Number(process.hrtime.bigint()) / 1e3 - performance.now() * 1e3

/** The time in µs, on a clock that all processes of this machine share. */
export function now() {
  return base + performance.now() * 1e3
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
