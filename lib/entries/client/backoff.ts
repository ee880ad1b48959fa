export const NEVER = Number.POSITIVE_INFINITY
/** The longest delay that a timer takes, ms. */
export const MAX_DELAY = 2 ** 31 - 1

/**
 * How long to wait, ms: at least `least`, and a random part of a span that doubles with each failure ("full jitter"), up to
 * `most` in all; never less than the server has asked for.
 */
export function backoff(least: number, failures: number, most: number): number {
  return least + Math.random() * Math.max(0, Math.min(most - least, Math.max(least, 1) * 2 ** failures))
}

/** What `Retry-After` asks for (RFC 9110 10.2.3), ms; nothing, where it says nothing that can be understood. */
export function retryAfter(response: Response): number | undefined {
  const value = response.headers.get('retry-after') ?? ''
  const ms = Number(value) * 1000 || Date.parse(value) - Date.now()
  return ms >= 0 ? ms : undefined
}

/** Resolves after so many ms, or when it is aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, Math.min(ms, MAX_DELAY))
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
