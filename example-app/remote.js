// Method calls between the processes of a cluster, over the channel that Node has between a process and its children.

/** In a worker: the object that the primary process offers. Every method returns a promise. */
export function remote() {
  const calls = new Map()
  let count = 0
  process.on('message', ({ call, result, error }) => {
    const { resolve, reject } = calls.get(call)
    calls.delete(call)
    // The channel carries plain objects, not errors with their class.
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

/** In the primary process: answers a worker's calls of the object's methods. */
export function offer(object, worker) {
  worker.on('message', ({ call, method, args }) => {
    let answer
    try {
      answer = { call, result: object[method](...args) }
    } catch ({ message, code, statusCode = 500 }) {
      answer = { call, error: { message, code, statusCode } }
    }
    // The callback swallows the error of a worker that has exited meanwhile.
    worker.send(answer, () => {})
  })
}
