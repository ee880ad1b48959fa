import createError from '@fastify/error'
import { PERSON } from './rooms.js'
import { Sessions } from './sessions.js'

const LoginRequired = createError('LOGIN_REQUIRED', 'Log in first', 401)
const TooManySessions = createError('TOO_MANY_SESSIONS', 'Too many people are logged in: try again later', 503)

const COOKIE = 'board_session'

const credentials = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: { name: PERSON }
}

/**
 * Adds login and logout. There is no password, since this is a demo: anyone may come in by any name.
 *
 * @param app a Fastify instance with @fastify/cookie, which signs the cookie
 * @param {{ lifetime: number, limit: number }} options of the sessions
 * @returns the hook that lets only those in who are logged in, and sets `request.session`
 */
export function addLogin(app, options) {
  const sessions = new Sessions(options)
  app.decorateRequest('session', null)

  app.post('/api/login', { schema: { body: credentials } }, async (request, reply) => {
    logOut(request)
    const session = sessions.begin(request.body.name.trim())
    if (!session) throw new TooManySessions()
    reply.setCookie(COOKIE, session.id, {
      signed: true,
      httpOnly: true,
      // Other sites can neither send changes with this cookie nor open the stream with it.
      sameSite: 'lax',
      secure: 'auto',
      path: '/',
      expires: session.expiresAt
    })
    return { name: session.user }
  })

  app.post('/api/logout', async (request, reply) => {
    logOut(request)
    return reply.clearCookie(COOKIE, { path: '/' }).code(204).send()
  })

  return async function requireLogin(request) {
    request.session = sessionOf(request)
    if (!request.session) throw new LoginRequired()
  }

  function sessionOf(request) {
    const cookie = request.cookies[COOKIE]
    const { valid, value } = cookie ? request.unsignCookie(cookie) : { valid: false }
    return valid ? sessions.find(value) : null
  }

  function logOut(request) {
    const session = sessionOf(request)
    if (!session) return
    sessions.end(session.id)
    // All tabs of this browser. They stay away rather than come back as whoever logs in here next.
    app.sse.disconnect((client) => client.state.session === session, { reconnect: false })
  }
}
