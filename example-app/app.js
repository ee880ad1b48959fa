import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import fastifyCookie from '@fastify/cookie'
import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { api } from './api.js'
import { addLogin } from './login.js'
import { Presence } from './presence.js'
import { Rooms } from './rooms.js'

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/**
 * The task board, ready to listen.
 *
 * @param {object} [options]
 * @param {object} [options.fastify] options for Fastify
 * @param {object} [options.pylonSse] options for the event stream
 * @param {number} [options.maxTasks] how many tasks a board holds
 * @param {number} [options.maxRooms] how many rooms there may be
 * @param {number} [options.maxSessions] how many may be logged in at once
 * @param {number} [options.sessionLifetime] how long a login lasts, in ms
 */
export function buildApp(options = {}) {
  const { maxTasks = 500, maxRooms = 100, maxSessions = 10_000, sessionLifetime = 12 * 60 * 60 * 1000 } = options
  const app = Fastify({
    bodyLimit: 4096,
    // Fastify would drop unknown fields and turn numbers into text: a client that gets it wrong should hear of it.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false } },
    ...options.fastify
  })

  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS)
  })

  // A secret of this start alone: after a restart everyone logs in anew, as the sessions are gone, too.
  app.register(fastifyCookie, { secret: randomBytes(32) })
  const requireLogin = addLogin(app, { lifetime: sessionLifetime, limit: maxSessions })

  const rooms = new Rooms({
    limit: maxRooms,
    maxTasks,
    // Who made the change has its answer, so `except` leaves out that one tab: nobody else knows the id of its stream.
    onChange: (room, change, by) => app.sse.broadcast(change, { topic: room.topic, event: 'change', except: by })
  })
  rooms.create('team-a')
  rooms.create('team-b')
  const presence = new Presence(app)

  app.register(pylonSse, {
    // The page comes from this very origin: no other site needs to read the stream.
    cors: false,
    retry: 1000,
    ...options.pylonSse,
    route: {
      onRequest: requireLogin,
      // A stream is one room's.
      schema: { querystring: { type: 'object', required: ['topic'], properties: { topic: { type: 'string' } } } }
    },
    authorizeTopics: ({ session }, topics) => topics.every((topic) => rooms.findByTopic(topic, session.user)),
    onConnect(client, { session }) {
      const room = rooms.findByTopic(client.topics[0], session.user)
      client.state = { session, room }
      client.expiresAt = session.expiresAt
      // The client's place in the log was taken before, so every change is in these rows or follows them. It may be both:
      // a tab that resumes gets the rows first and then what it missed. `seq` tells which changes the rows include.
      client.send({ clientId: client.id, people: presence.in(room), ...room.tasks.snapshot() }, { event: 'snapshot' })
      presence.announce(room)
    },
    onDisconnect: ({ state }) => presence.announce(state.room)
  })

  app.register(api, { prefix: '/api', rooms, requireLogin })
  app.register(fastifyStatic, { root: fileURLToPath(new URL('public', import.meta.url)) })

  return app
}
