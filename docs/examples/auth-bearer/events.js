import jwt from '@fastify/jwt'
import pylonSse from 'pylon-sse'
import { access, authenticate, tokens } from './access.js'
import { checkPassword, credentials } from './users.js'

export async function addEvents(app, { secret }) {
  await app.register(jwt, { ...tokens, secret })
  await app.register(pylonSse, { ...access, route: { onRequest: (request) => authenticate(request) } })

  app.post('/login', { schema: { body: credentials } }, async (request, reply) => {
    const sub = await checkPassword(request.body)
    if (!sub) return reply.code(401).send({ message: 'wrong name or password' })
    return { token: app.jwt.sign({ sub }) }
  })
}
