// Stops what a benchmark has started outside of its own process when a signal ends the benchmark.

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']
/** @type {Set<() => Promise<void>>} */
const stops = new Set()

/**
 * Has `stop` called before SIGINT, SIGTERM or SIGHUP ends this process. A second signal of the same kind does not wait for it.
 *
 * @param {() => Promise<void>} stop
 * @returns {() => void} takes it back
 */
export function stopOnSignal(stop) {
  if (stops.size === 0) for (const signal of SIGNALS) process.once(signal, end)
  stops.add(stop)
  return () => {
    stops.delete(stop)
    if (stops.size === 0) for (const signal of SIGNALS) process.off(signal, end)
  }
}

/** @param {NodeJS.Signals} signal */
async function end(signal) {
  // What is under way fails without what is stopped, and must not end the process before all is.
  process.on('uncaughtException', () => {})
  await Promise.allSettled([...stops].map((stop) => stop()))
  // Nobody listens for it any more, so that it ends the process as it would have.
  process.kill(process.pid, signal)
}
