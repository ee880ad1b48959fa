// The task board on three processes (`npm run start:cluster`). They share a port and, in a Postgres, the state and the event
// stream; each connection may reach another process.

import cluster from 'node:cluster'
import { buildApp } from './app.js'
import { openDatabase } from './database/database.js'
import { removeProcess } from './state/presence.js'

const WORKERS = 3

const { DATABASE_URL: url, HOST: host = '127.0.0.1', PORT: port = '3000', LOG_LEVEL: level = 'warn' } = process.env

if (!url)
  giveUp(new Error('DATABASE_URL is not set. It takes the URL of a Postgres: postgres://user@localhost:5432/board'))
else await (cluster.isPrimary ? lead() : work())

async function lead() {
  const database = await openDatabase({ url })
  let hasStarted = false
  let closing = false

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, close)

  // One worker first: an error that keeps it from listening would keep the others from it as well.
  const first = await start()
  if (!first) return
  hasStarted = true
  await Promise.all(Array.from({ length: WORKERS - 1 }, start))
  if (!closing)
    console.log(
      `Task board on http://localhost:${first.port}, ${WORKERS} processes (a private window is a second visitor)`
    )

  /** Starts a worker. Resolves with its address once it listens. */
  function start() {
    const worker = cluster.fork()
    const { pid } = worker.process
    // Its visitors have left, also where it was killed. Without the database they are taken off later.
    worker.once('disconnect', () => removeProcess(database, String(pid)).catch(() => {}))
    return new Promise((resolve) => {
      let isUp = false
      worker.once('listening', (address) => {
        isUp = true
        resolve(address)
      })
      worker.once('exit', (code, signal) => {
        if (closing) return resolve()
        if (!hasStarted) return close(1)
        console.error(`Process ${pid} has ended (${signal ?? code})`)
        // A worker that could not start, without the database for example, is started again after a while.
        setTimeout(replace, isUp ? 0 : 1000)
      })
    })
  }

  async function replace() {
    if (!closing && (await start())) console.error('Another one has taken its place')
  }

  async function close(code = 0) {
    if (closing) return
    closing = true
    if (typeof code === 'number') process.exitCode = code
    const workers = Object.values(cluster.workers)
    const gone = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)))
    for (const worker of workers) worker.process.kill('SIGTERM')
    await Promise.all(gone)
    await database.close()
  }
}

async function work() {
  let app
  let isClosing = false
  const close = async () => {
    // With Ctrl-C the signal comes twice: from the terminal, and from the primary process.
    if (isClosing) return
    isClosing = true
    await app?.close()
    process.disconnect()
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, close)
  try {
    const database = await openDatabase({ url })
    app = buildApp({ database, processId: String(process.pid), fastify: { logger: { level } } })
    app.addHook('onRequest', async (_request, reply) => {
      reply.header('x-served-by', String(process.pid))
    })
    await app.listen({ host, port: Number(port) })
  } catch (error) {
    giveUp(error)
    await close()
  }
}

function giveUp(error) {
  console.error(`The task board could not start: ${error.message}`)
  process.exitCode = 1
}
