export interface Deferred<T> {
  promise: Promise<T>
  resolve(value: T | PromiseLike<T>): void
  reject(reason: unknown): void
}

/** Promise.withResolvers, which Node 20 has not. */
export function deferred<T = void>(): Deferred<T> {
  const parts = {} as Deferred<T>
  parts.promise = new Promise<T>((resolve, reject) => {
    parts.resolve = resolve
    parts.reject = reject
  })
  return parts
}

export interface Gate {
  /** For the code under test (an async hook, say): blocks until the test opens the gate. */
  pass(): Promise<void>
  /** For the test: resolves when somebody has come to the gate, so that it can act while they stand there. */
  reached: Promise<void>
  open(): void
}

export function gate(): Gate {
  const reached = deferred()
  const opened = deferred()
  return {
    pass() {
      reached.resolve()
      return opened.promise
    },
    reached: reached.promise,
    open: () => opened.resolve()
  }
}
