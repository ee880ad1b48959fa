// The routes of rooms and tasks, and what they take.

import createError from '@fastify/error'
import { STATUSES } from '../public/shared/statuses.js'
import { PERSON } from '../state/person.js'
import { ROOM_TITLE } from '../state/rooms.js'

const NoSuchRoom = createError('NO_SUCH_ROOM', 'There is no such room, or it is not for you', 403)
const NoSuchTask = createError('NO_SUCH_TASK', 'This task is gone: someone may have deleted it', 404)

const newRoom = {
  type: 'object',
  required: ['title'],
  additionalProperties: false,
  properties: { title: ROOM_TITLE, members: { type: 'array', maxItems: 20, items: PERSON } }
}

const title = {
  type: 'string',
  minLength: 1,
  maxLength: 200,
  pattern: '\\S',
  description: 'A title takes 1 to 200 characters'
}

// The page chooses the id, so that it can send a request without an answer again and the task is created once.
const id = { type: 'string', format: 'uuid' }

const newTask = {
  type: 'object',
  required: ['title'],
  additionalProperties: false,
  properties: { id, title }
}

const taskChanges = {
  type: 'object',
  minProperties: 1,
  additionalProperties: false,
  properties: { title, was: { type: 'string' }, status: { enum: STATUSES } }
}

const restoration = { type: 'object', additionalProperties: false, properties: { title } }

/** The API, for logged-in users. A change is answered with what its event says, and the place of the event in the log. */
export async function api(app, { board, requireLogin }) {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
  app.addHook('onRequest', requireLogin)

  app.get('/me', async ({ session: { user } }) => ({ name: user, rooms: await board.listRooms(user) }))

  app.post('/rooms', { schema: { body: newRoom } }, async (request, reply) => {
    const { title, members = [] } = request.body
    const creator = request.session.user
    reply.code(201)
    return board.createRoom({ title, creator, members: members.length > 0 ? [creator, ...members] : undefined })
  })

  app.register(roomRoutes, { prefix: '/rooms/:room', board })
}

async function roomRoutes(app, { board }) {
  app.addHook('onRequest', async ({ params, session }) => {
    if (!(await board.findRoom(params.room, session.user))) throw new NoSuchRoom()
  })

  app.get('/', async ({ params }) => board.snapshot(params.room))

  app.post('/tasks', { schema: { body: newTask } }, async (request, reply) => {
    reply.code(201)
    return board.tasks.create(request.params.room, request.body, request.session.user)
  })

  app.patch('/tasks/:id', { schema: { body: taskChanges } }, async (request) => {
    const { room, id } = request.params
    return (await board.tasks.update(room, id, request.body, request.session.user)) ?? gone()
  })

  app.post('/tasks/:id/restore', { schema: { body: restoration } }, async (request) => {
    const { room, id } = request.params
    return (await board.tasks.restore(room, id, request.body, request.session.user)) ?? gone()
  })

  app.delete('/tasks/:id', async (request) => {
    const { room, id } = request.params
    return (await board.tasks.delete(room, id, request.session.user)) ?? gone()
  })
}

function gone() {
  throw new NoSuchTask()
}
