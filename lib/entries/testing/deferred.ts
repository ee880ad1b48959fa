// A promise that is settled from outside. A file of its own, since every wait and transport of the test client uses it.

/** A promise with the functions that settle it, as `Promise.withResolvers` returns it, which Node 20 does not have. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T | PromiseLike<T>): void
  reject(reason: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  const parts = {} as Deferred<T>
  parts.promise = new Promise<T>((resolve, reject) => {
    parts.resolve = resolve
    parts.reject = reject
  })
  return parts
}
