import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import fastifyCookie from '@fastify/cookie'
import fastifyStatic from '@fastify/static'
import Fastify from 'fastify'
import pylonSse from 'pylon-sse'
import { Board } from './board/board.js'
import { LOBBY, roomOfTopic, topicOfPerson } from './board/topics.js'
import { api } from './routes/api.js'
import { addLogin } from './routes/login.js'

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/**
 * Builds the Fastify app of the task board, ready to listen.
 *
 * @param {object} [options] those of a `Board`, and:
 * @param {object} [options.fastify] options for Fastify
 * @param {object} [options.pylonSse] options for the event stream
 * @param {Board} [options.board] the state, if several processes share it; default: a new board
 * @param {string | Buffer} [options.secret] signs the cookies; default: a random one, so that logins end with the process, as sessions in memory do
 */
export function buildApp({ fastify, pylonSse: stream, board: shared, secret = randomBytes(32), ...limits } = {}) {
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

  const board = shared ?? new Board({ ...limits, broadcast: (data, options) => app.sse.broadcast(data, options) })
  if (!shared) app.addHook('preClose', async () => board.close())

  app.register(fastifyCookie, { secret })
  const requireLogin = addLogin(app, board)

  app.register(pylonSse, {
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
    async onConnect(client, { session }) {
      const [topic] = client.topics
      const room = roomOfTopic(topic)
      client.state = { session: session.id, room }
      client.expiresAt = session.expiresAt
      // The client's place in the log was taken before, so each change is in these rows or follows them. It can be both: a
      // tab that resumes gets the rows, and then the changes that it missed. `seq` says which changes the rows include.
      if (room) {
        const snapshot = await board.enter(room, { id: client.id, user: session.user, pid: process.pid })
        client.send({ clientId: client.id, ...snapshot }, { event: 'snapshot' })
      } else {
        // Invitations are sent to the invited only.
        client.subscribe(topicOfPerson(session.user))
        client.send({ rooms: await board.listRooms(session.user) }, { event: 'rooms' })
      }
    },
    onDisconnect: ({ id, state }) => board.leave(state.room, id)
  })

  // For a load balancer: whether this process can take clients.
  app.get('/ready', (_request, reply) => reply.code(app.sse.ready ? 204 : 503).send())
  app.register(api, { prefix: '/api', board, requireLogin })
  app.register(fastifyStatic, { root: fileURLToPath(new URL('public', import.meta.url)) })

  return app
}

/** What is wrong with a request, in words for the person who typed it. */
function explain({ parentSchema, data, instancePath, message }, where) {
  if (!parentSchema.description) return `${where}${instancePath} ${message}`
  return typeof data === 'string' ? `${parentSchema.description}: not “${data.slice(0, 40)}”` : parentSchema.description
}
