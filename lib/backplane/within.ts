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
