/** An object of another process, over the channel that Node has between a process and those that it has started. */

/** What the primary process offers, as its workers call it: every method gives a promise. */
export function remote() {
  const calls = new Map()
  let count = 0
  process.on('message', ({ call, result, error }) => {
    const { resolve, reject } = calls.get(call)
    calls.delete(call)
    // A class does not get across.
    if (error) reject(Object.assign(new Error(error.message), error))
    else resolve(result)
  })
  const ask = (method, args) =>
    new Promise((resolve, reject) => {
      calls.set(++count, { resolve, reject })
      process.send({ call: count, method, args })
    })
  return new Proxy(
    {},
    {
      get:
        (_target, method) =>
        (...args) =>
          ask(method, args)
    }
  )
}

/** Answers the calls of a worker. */
export function offer(object, worker) {
  worker.on('message', ({ call, method, args }) => {
    let answer
    try {
      answer = { call, result: object[method](...args) }
    } catch ({ message, code, statusCode = 500 }) {
      answer = { call, error: { message, code, statusCode } }
    }
    // It may have ended meanwhile, which is heard of elsewhere.
    worker.send(answer, () => {})
  })
}
