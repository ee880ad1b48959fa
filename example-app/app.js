import { fileURLToPath } from 'node:url'
import createError from '@fastify/error'
import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { STATUSES, Tasks } from './tasks.js'

const BoardFull = createError('BOARD_FULL', 'The board is full (%s tasks): delete one first', 409)
const NoSuchTask = createError('NO_SUCH_TASK', 'This task is gone: someone may have deleted it', 404)

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

const title = { type: 'string', minLength: 1, maxLength: 200, pattern: '\\S' }

const newTask = {
  type: 'object',
  required: ['title'],
  additionalProperties: false,
  properties: { title }
}

const taskChanges = {
  type: 'object',
  minProperties: 1,
  additionalProperties: false,
  properties: { title, status: { enum: STATUSES } }
}

/**
 * The task board, ready to listen.
 *
 * @param {object} [options]
 * @param {object} [options.fastify] options for Fastify
 * @param {object} [options.pylonSse] options for the event stream
 * @param {number} [options.maxTasks] how many tasks the board holds
 */
export function buildApp({ fastify, pylonSse: sseOptions, maxTasks = 500 } = {}) {
  const app = Fastify({
    bodyLimit: 4096,
    // Fastify would drop unknown fields and turn numbers into text: a client that gets it wrong should hear of it.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
    ...fastify
  })

  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS)
  })

  const announcePresence = presence(app)

  app.register(pylonSse, {
    // The page comes from this very origin: no other site needs to read the stream.
    cors: false,
    retry: 1000,
    ...sseOptions,
    onConnect(client) {
      client.send({ count: app.sse.clientCount }, { event: 'presence' })
      announcePresence()
    },
    onDisconnect: announcePresence
  })

  app.register(fastifyStatic, { root: fileURLToPath(new URL('public', import.meta.url)) })

  const tasks = new Tasks({
    limit: maxTasks,
    onChange: (change) => app.sse.broadcast(change, { event: 'change' })
  })

  app.get('/api/tasks', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return tasks.snapshot()
  })

  app.post('/api/tasks', { schema: { body: newTask } }, async (request, reply) => {
    if (tasks.full) throw new BoardFull(maxTasks)
    reply.code(201)
    return tasks.create(request.body)
  })

  app.patch('/api/tasks/:id', { schema: { body: taskChanges } }, async (request) => {
    const task = tasks.update(request.params.id, request.body)
    if (!task) throw new NoSuchTask()
    return task
  })

  app.delete('/api/tasks/:id', async (request, reply) => {
    if (!tasks.delete(request.params.id)) throw new NoSuchTask()
    return reply.code(204).send()
  })

  return app
}

/** Tells everyone how many are here, at most four times a second however many come and go at once. */
function presence(app) {
  let timer
  let closing = false

  app.addHook('preClose', async () => {
    closing = true
    clearTimeout(timer)
  })

  return function announce() {
    if (closing || timer) return
    timer = setTimeout(() => {
      timer = undefined
      app.sse.broadcast({ count: app.sse.clientCount }, { event: 'presence' })
    }, 250)
    timer.unref()
  }
}
