/** What does not come in time: the server hangs, or the network. */
export class LateError extends Error {
  override readonly name = 'LateError'
}

/** @throws LateError where it has not come after `ms` */
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
 * As `within`, for what may be large and the network slow: it is late where nothing has come for `ms`.
 *
 * @param received bytes, or whatever grows while something comes
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
