/*
 * The task board on three processes (`npm run start:cluster`). They share a port and, by Redis, an event stream; each
 * connection may reach another process. The state is in the memory of the primary process, where a real app has a database;
 * the workers ask it (see remote.js).
 */

import cluster from 'node:cluster'
import { randomBytes, randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { Redis } from 'ioredis'
import pylonSse from 'pylon-sse'
import { redisStreams } from 'pylon-sse/redis-streams'
import { buildApp } from './app.js'
import { Board } from './board/board.js'
import { offer, remote } from './remote.js'

const WORKERS = 3

const { REDIS_URL: url = 'redis://localhost:6379', HOST: host = '127.0.0.1', LOG_LEVEL: level = 'warn' } = process.env
const fastify = { logger: { level } }

await (cluster.isPrimary ? lead() : work())

async function lead() {
  // A new key for each start, since the state is new as well: pages of an earlier start are told that theirs is gone.
  const key = `pylon-sse:board:${randomUUID()}`
  // The primary process has no clients. It broadcasts the changes in the order in which they are made.
  const publisher = Fastify(fastify)
  publisher.register(pylonSse, { backplane: redisStreams({ url, key }) })
  try {
    await publisher.ready()
  } catch (error) {
    giveUp(error)
    return
  }
  const board = new Board({ broadcast: (data, options) => publisher.sse.broadcast(data, options) })

  cluster.setupPrimary({ serialization: 'advanced' })
  const environment = { BOARD_KEY: key, BOARD_SECRET: randomBytes(32).toString('hex') }
  let hasStarted = false
  let closing = false

  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, close)

  // One worker first: an error that keeps it from listening would keep the others from it as well.
  const first = await start()
  if (!first) return
  hasStarted = true
  await Promise.all(Array.from({ length: WORKERS - 1 }, start))
  const { port } = first
  if (!closing)
    console.log(`Task board on http://localhost:${port}, ${WORKERS} processes (a private window is a second visitor)`)

  /** Starts a worker. Resolves with its address once it listens. */
  function start() {
    const worker = cluster.fork(environment)
    offer(board, worker)
    worker.once('disconnect', () => board.leaveAll(worker.process.pid))
    return new Promise((resolve) => {
      let isUp = false
      worker.once('listening', (address) => {
        isUp = true
        resolve(address)
      })
      worker.once('exit', (code, signal) => {
        if (closing) return resolve()
        if (!hasStarted) return close(1)
        console.error(`Process ${worker.process.pid} has ended (${signal ?? code})`)
        // A worker that could not start, without Redis for example, is started again after a while.
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
    board.close()
    await publisher.close()
    const redis = new Redis(url, { lazyConnect: true, retryStrategy: null })
    await redis.connect().then(
      () => redis.unlink(key),
      () => {}
    )
    redis.disconnect()
  }
}

async function work() {
  const { BOARD_KEY: key, BOARD_SECRET: secret, PORT: port = '3000' } = process.env
  const app = buildApp({ board: remote(), secret, fastify, pylonSse: { backplane: redisStreams({ url, key }) } })
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-served-by', String(process.pid))
  })
  let isClosing = false
  const close = async () => {
    // With Ctrl-C the signal comes twice: from the terminal, and from the primary process.
    if (isClosing) return
    isClosing = true
    await app.close()
    process.disconnect()
  }
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, close)
  try {
    await app.listen({ host, port: Number(port) })
  } catch (error) {
    giveUp(error)
    process.disconnect()
  }
}

function giveUp(error) {
  console.error(`The task board could not start: ${error.message}`)
  process.exitCode = 1
}
