// The task board as a Fastify app: login, API, the stream of events, and the page.

import { randomUUID } from 'node:crypto'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyCookie from '@fastify/cookie'
import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { createTables, readSecret } from './database/database.js'
import { api } from './routes/api.js'
import { addLogin } from './routes/login.js'
import { Board } from './state/board.js'
import { LOBBY, roomOfTopic, topicOfPerson } from './state/topics.js'

const PAGE = fileURLToPath(new URL('public', import.meta.url))
/** Where the client for pages is, in one file. */
const CLIENT = dirname(fileURLToPath(import.meta.resolve('pylon-sse/client.min.js')))

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/**
 * Builds the Fastify app of the task board, ready to listen.
 *
 * @param {object} options those of a `Board`, and:
 * @param {import('./database/database.js').Database} options.database closed with the app
 * @param {object} [options.fastify] options for Fastify
 * @param {object} [options.pylonSse] options for the event stream
 */
export function buildApp({ database, fastify, pylonSse: stream, processId = randomUUID(), ...limits }) {
  const app = Fastify({
    bodyLimit: 4096,
    // By default Fastify removes unknown fields and converts types. A client's mistake should be an error instead.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: false, verbose: true } },
    schemaErrorFormatter: ([error], where) => new Error(explain(error, where)),
    // A letter of a room's name can take nine characters in a URL.
    routerOptions: { maxParamLength: 500 },
    ...fastify
  })

  app.addHook('onRequest', async (_request, reply) => {
    reply.headers(SECURITY_HEADERS)
  })

  const board = new Board(database, { ...limits, processId, onError: (error) => app.log.error(error) })
  app.addHook('onClose', async () => {
    await board.close()
    await database.close()
  })

  /** Signs the cookies. Its secret is in the database. */
  let signer
  app.register(fastifyCookie, {
    secret: { sign: (value) => signer.sign(value), unsign: (value) => signer.unsign(value) }
  })
  const requireLogin = addLogin(app, board)

  app.register(pylonSse, {
    backplane: database.backplane(),
    // The page has the same origin; no other site needs to read the stream.
    cors: false,
    retry: 1000,
    ...stream,
    route: {
      onRequest: requireLogin,
      // A stream has one topic: that of a room, or of the lobby.
      schema: { querystring: { type: 'object', required: ['topic'], properties: { topic: { type: 'string' } } } }
    },
    authorizeTopics: async ({ session }, [topic]) =>
      topic === LOBBY || Boolean(await board.findRoom(roomOfTopic(topic), session.user)),
    onConnect(client, { session }) {
      const room = roomOfTopic([...client.topics][0])
      client.state = { session: session.id }
      client.expiresAt = session.expiresAt
      if (room) board.enter(room, { id: client.id, user: session.user })
      // Invitations are sent to the invited only.
      else client.subscribe(topicOfPerson(session.user))
      // What is sent now goes before the events that the client has missed; what is sent in a moment follows them.
      setImmediate(() => client.send({}, { event: 'caught-up' }))
    },
    onDisconnect: ({ id }) => board.leave(id)
  })
  // After the stream's own hook, which makes the schema that the tables need.
  app.after(() => {
    app.addHook('onReady', async () => {
      await createTables(database)
      signer = new fastifyCookie.Signer(await readSecret(database))
    })
  })

  // For a load balancer: whether this process can take clients.
  app.get('/ready', (_request, reply) => reply.code(app.sse.ready ? 204 : 503).send())
  app.register(api, { prefix: '/api', board, requireLogin })
  app.register(fastifyStatic, { root: PAGE })
  app.get('/client.js', (_request, reply) => reply.sendFile('client.min.js', CLIENT))

  return app
}

/** What is wrong with a request, in words for the person who typed it. */
function explain({ parentSchema, data, instancePath, message }, where) {
  if (!parentSchema.description) return `${where}${instancePath} ${message}`
  return typeof data === 'string' ? `${parentSchema.description}: not “${data.slice(0, 40)}”` : parentSchema.description
}
