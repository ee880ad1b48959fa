import cookie from '@fastify/cookie'
import jwt from '@fastify/jwt'
import pylonSse from 'pylon-sse'
import { access, authenticate, tokens } from './access.js'
import { checkPassword, credentials } from './users.js'

export async function addEvents(app, { secret }) {
  await app.register(cookie)
  await app.register(jwt, { ...tokens, secret, cookie: { cookieName: 'token' } })

  const onRequest = (request) => authenticate(request, { onlyCookie: true })
  const settings = { path: '/', httpOnly: true, secure: true, sameSite: 'strict' }

  await app.register(pylonSse, { ...access, cors: false, route: { onRequest } })

  app.post('/login', { schema: { body: credentials } }, async (request, reply) => {
    const sub = await checkPassword(request.body)
    if (!sub) return reply.code(401).send({ message: 'wrong name or password' })
    reply.setCookie('token', app.jwt.sign({ sub }), settings)
    return { user: sub }
  })

  app.post('/logout', { onRequest }, async ({ user }, reply) => {
    app.sse.disconnect({ state: { user: user.sub } }, { reconnect: false })
    reply.clearCookie('token', settings)
    return {}
  })
}
