// Login and logout, and the hook that asks for them.

import createError from '@fastify/error'
import { PERSON } from '../state/person.js'

const LoginRequired = createError('LOGIN_REQUIRED', 'Log in first', 401)
const SessionEnded = createError('SESSION_ENDED', 'Your login has ended: log in again', 401)
const LoginUnknown = createError('LOGIN_UNKNOWN', 'This server does not know your login: log in again', 401)

const COOKIE = 'board_session'

const credentials = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: { name: PERSON }
}

/**
 * Adds login and logout. There is no password, since this is a demo: anyone may take any name.
 *
 * @param app a Fastify instance with @fastify/cookie, which signs the cookie
 * @param {import('../state/board.js').Board} board which holds the sessions
 * @returns the hook that refuses requests without a login, and sets `request.session`
 */
export function addLogin(app, board) {
  app.decorateRequest('session', null)
  app.decorateRequest('endedSession', null)

  app.post('/api/login', { schema: { body: credentials }, onResponse: endStreams }, async (request, reply) => {
    await logOut(request)
    const session = await board.logIn(request.body.name.trim())
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

  app.post('/api/logout', { onResponse: endStreams }, async (request, reply) => {
    await logOut(request)
    return reply.clearCookie(COOKIE, { path: '/' }).code(204).send()
  })

  return async function requireLogin(request) {
    request.session = await sessionOf(request)
    if (request.session) return
    const { present, valid } = readCookie(request)
    if (!present) throw new LoginRequired()
    // Each database has a secret of its own, so the cookie of another one is not valid.
    throw valid ? new SessionEnded() : new LoginUnknown()
  }

  async function sessionOf(request) {
    const { valid, value } = readCookie(request)
    return valid ? board.findSession(value) : null
  }

  function readCookie(request) {
    const cookie = request.cookies[COOKIE]
    return cookie ? { present: true, ...request.unsignCookie(cookie) } : { present: false, valid: false }
  }

  async function logOut(request) {
    const session = await sessionOf(request)
    if (!session) return
    await board.logOut(session.id)
    request.endedSession = session.id
  }

  /**
   * Ends the streams of all tabs of this browser, on all processes. They do not reconnect: they would come back as the next
   * person who logs in here. Their pages then ask who is logged in, so the answer with the new cookie goes first.
   */
  async function endStreams({ endedSession }) {
    if (endedSession) app.sse.disconnect({ state: { session: endedSession } }, { reconnect: false })
  }
}
