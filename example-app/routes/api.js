import createError from '@fastify/error'
import { PERSON } from '../board/person.js'
import { ROOM_TITLE } from '../board/rooms.js'
import { STATUSES } from '../public/shared/statuses.js'

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

// The page names its stream, so that its own changes do not come back to it.
const headers = { type: 'object', properties: { 'x-client-id': { type: 'string', format: 'uuid' } } }

const authorOf = ({ session, headers }) => ({ user: session.user, clientId: headers['x-client-id'] })

/** The routes of rooms and tasks, for logged-in users. A change is answered with what its event says, and the place of the event in the log. */
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

  app.register(taskRoutes, { prefix: '/rooms/:room/tasks', board })
}

async function taskRoutes(app, { board }) {
  app.addHook('onRequest', async ({ params, session }) => {
    if (!(await board.findRoom(params.room, session.user))) throw new NoSuchRoom()
  })

  app.get('/', async ({ params }) => board.tasks.snapshot(params.room))

  app.post('/', { schema: { headers, body: newTask } }, async (request, reply) => {
    reply.code(201)
    return board.tasks.create(request.params.room, request.body, authorOf(request))
  })

  app.patch('/:id', { schema: { headers, body: taskChanges } }, async (request) => {
    const { room, id } = request.params
    return (await board.tasks.update(room, id, request.body, authorOf(request))) ?? gone()
  })

  app.post('/:id/restore', { schema: { headers, body: restoration } }, async (request) => {
    const { room, id } = request.params
    return (await board.tasks.restore(room, id, request.body, authorOf(request))) ?? gone()
  })

  app.delete('/:id', { schema: { headers } }, async (request) => {
    const { room, id } = request.params
    return (await board.tasks.delete(room, id, authorOf(request))) ?? gone()
  })
}

function gone() {
  throw new NoSuchTask()
}
