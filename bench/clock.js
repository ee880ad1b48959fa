// CLOCK_MONOTONIC is one clock for all processes of a machine; performance.now() reads it without making a BigInt.
const base = Number(process.hrtime.bigint()) / 1e3 - performance.now() * 1e3

/** µs on a clock that all processes of this machine share. */
export function now() {
  return base + performance.now() * 1e3
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
