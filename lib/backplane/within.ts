// Time limits for answers of an engine. Pauses between attempts are in backoff.ts.

/** Thrown when a server does not answer in time. */
export class LateError extends Error {
  override readonly name = 'LateError'
}

/** Waits for a promise for at most `ms`. @throws LateError after that */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new LateError(`it has not answered for ${ms} ms`)), ms)
    timer.unref()
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * As `within`, for large answers over slow networks: late only if no bytes have arrived for `ms`.
 *
 * @param received gives the bytes received so far, or another number that grows with them
 */
export async function whileComing<T>(ms: number, promise: Promise<T>, received: () => number): Promise<T> {
  let isSettled = false
  const settled = promise.finally(() => {
    isSettled = true
  })
  let before = received()
  for (;;) {
    try {
      return await within(ms, settled)
    } catch (error) {
      const now = received()
      if (isSettled || now === before) throw error
      before = now
    }
  }
}
