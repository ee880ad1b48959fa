/** How long a test waits for what it expects, in ms: generous, because only a failing test ever waits that long. */
export const PATIENCE = 20_000

/**
 * Rejects when `promise` has not settled after `ms`, saying what was awaited and, by `seen`, what had come until then.
 * The error's stack leads to the caller: that of a timer would name no line of the test.
 */
export async function withTimeout<T>(
  promise: Promise<T>,
  what: string,
  ms: number = PATIENCE,
  seen?: () => string
): Promise<T> {
  const caller = new Error()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`waited ${ms} ms for ${what}${seen ? `; seen so far: ${seen()}` : ''}`)
      error.stack = `${error}\n${caller.stack?.split('\n').slice(1).join('\n')}`
      reject(error)
    }, ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
