import createError from '@fastify/error'
import { PERSON, ROOM } from './rooms.js'
import { STATUSES } from './tasks.js'

const NoSuchRoom = createError('NO_SUCH_ROOM', 'There is no such room, or it is not for you', 403)
const RoomTaken = createError('ROOM_TAKEN', 'This name is taken: choose another one', 409)
const TooManyRooms = createError('TOO_MANY_ROOMS', 'There are too many rooms already', 409)
const BoardFull = createError('BOARD_FULL', 'The board is full (%s tasks): delete one first', 409)
const NoSuchTask = createError('NO_SUCH_TASK', 'This task is gone: someone may have deleted it', 404)

const newRoom = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: { name: ROOM, members: { type: 'array', maxItems: 20, items: PERSON } }
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

// The page names its stream, so that its own changes do not come back by it.
const headers = { type: 'object', properties: { 'x-client-id': { type: 'string', format: 'uuid' } } }

const clientId = (request) => request.headers['x-client-id']

/** Routes of the rooms and their tasks, for those who are logged in. A change is answered as others hear of it. */
export async function api(app, { rooms, requireLogin }) {
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
  })
  app.addHook('onRequest', requireLogin)

  app.get('/me', async ({ session: { user } }) => ({ name: user, rooms: rooms.listFor(user).map(describe) }))

  app.post('/rooms', { schema: { body: newRoom } }, async (request, reply) => {
    const { name, members = [] } = request.body
    if (rooms.has(name)) throw new RoomTaken()
    if (rooms.full) throw new TooManyRooms()
    reply.code(201)
    return describe(rooms.create(name, members.length > 0 ? [request.session.user, ...members] : undefined))
  })

  app.register(taskRoutes, { prefix: '/rooms/:room/tasks', rooms })
}

async function taskRoutes(app, { rooms }) {
  app.decorateRequest('tasks', null)
  app.addHook('onRequest', async (request) => {
    const room = rooms.find(request.params.room, request.session.user)
    if (!room) throw new NoSuchRoom()
    request.tasks = room.tasks
  })

  app.get('/', async ({ tasks }) => tasks.snapshot())

  app.post('/', { schema: { headers, body: newTask } }, async (request, reply) => {
    const { tasks } = request
    if (tasks.full) throw new BoardFull(tasks.limit)
    reply.code(201)
    return tasks.create(request.body, clientId(request))
  })

  app.patch('/:id', { schema: { headers, body: taskChanges } }, async (request) => {
    return request.tasks.update(request.params.id, request.body, clientId(request)) ?? gone()
  })

  app.delete('/:id', { schema: { headers } }, async (request) => {
    return request.tasks.delete(request.params.id, clientId(request)) ?? gone()
  })
}

function describe({ name, members }) {
  return { name, members }
}

function gone() {
  throw new NoSuchTask()
}
